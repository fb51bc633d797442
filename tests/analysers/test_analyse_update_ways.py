"""A way for new software that was followed speaks for the update criterion; what is no way of the running product does not."""

import pytest
from support.trees import firmware_of

from fwcheck.analysers.update_ways import analyse
from fwcheck.model import Device, Evidence, Location, UpdatePath, UpdateStep

WHERE = (Evidence(location=Location(chain=("x",), path="/sbin/up", line=3), text="mtd write /tmp/fw firmware"),)


def found(*paths):
    return list(analyse(firmware_of({}), Device(update_paths=paths)))


@pytest.mark.parametrize(
    ("path", "confidence"),
    [
        (UpdatePath(source="web upload", sink="mtd write", verified="none", evidence=WHERE), "firm"),
        (UpdatePath(source="http download", sink="x", evidence=WHERE, steps=(UpdateStep(action="write", what="x"),)), "firm"),
        (UpdatePath(source="web upload", sink="flash", evidence=WHERE), "tentative"),
    ],
)
def test_a_way_speaks_for_the_criterion_however_it_is_guarded(path, confidence):
    (finding,) = found(path)
    assert (finding.rule, finding.verdict, finding.criteria) == ("UPD-015", "support", ("S1.1-06",))
    assert finding.confidence == confidence
    assert finding.location.path == "/sbin/up"


@pytest.mark.parametrize(
    "path",
    [
        UpdatePath(source="container", sink="bootloader or updater", evidence=WHERE),
        UpdatePath(source="boot loader (network)", sink="flash", evidence=WHERE),
        UpdatePath(source="web upload", sink="flash"),
    ],
)
def test_what_the_running_product_does_not_take_is_no_way(path):
    assert found(path) == []
