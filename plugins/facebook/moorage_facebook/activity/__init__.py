"""How a channel's comments and reactions are read: the calls, what they say, and where a run stands."""
