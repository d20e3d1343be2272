"""How a lead gets from a delivery into the CRM: fetched, placed beside what is there, and accounted for."""
