"""The embedded CRM: what events become."""
