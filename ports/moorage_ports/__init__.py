"""What a host may ask of any vendor, and what it lends or owns; import the module you need."""
