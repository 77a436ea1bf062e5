"""Teams own sites; members have a role; a team carries the quota."""
