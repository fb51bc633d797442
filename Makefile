# Short names for what dev.py does.
.PHONY: demo test check fuzz

demo test check fuzz:
	python3 dev.py $@
