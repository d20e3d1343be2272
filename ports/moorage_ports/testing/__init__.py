"""Promises that any plugin inherits: the conformance kit. The only part of the ports that knows pytest."""
