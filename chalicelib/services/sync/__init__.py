"""The workers, one for each kind of work, and what follows from a scan. Each observes, plans in `domain`, applies."""
