"""Handing leads over to the org's own CRM: told by webhook, or exported."""
