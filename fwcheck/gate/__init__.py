"""The gate: whether a report meets what a pipeline asked for.

``demands.py`` has what can be asked, ``policy.py`` and ``waivers.py`` the files of a team, ``baseline.py`` what an earlier report
knew already, ``evaluate.py`` the judgement, ``files.py`` how the files are read.
"""

from __future__ import annotations

from fwcheck.gate.baseline import Baseline
from fwcheck.gate.demands import Demands
from fwcheck.gate.evaluate import evaluate, exit_status
from fwcheck.gate.files import BrokenFile
from fwcheck.gate.policy import Policy
from fwcheck.gate.waivers import Settled, Waivers

__all__ = ["Baseline", "BrokenFile", "Demands", "Policy", "Settled", "Waivers", "evaluate", "exit_status"]
