"""What the commands of boot scripts answer, as far as the image decides it: one file per kind."""
