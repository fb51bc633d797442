"""Long runs that break images: ``make fuzz``."""
