"""Reports in another language: phrases are recognised where a report is shown; the report itself stays English."""
