"""Report formats: one file per format, each a function from a report to text or bytes."""
