"""Each statement that a declaration can make is either contradicted by some image in a test, or has a reason why none can be."""

import msgspec
import test_analyse_declared
import test_analyse_declared_information
import test_analyse_declared_scope

from fwcheck import declaration
from fwcheck.declaration import Declaration, DeclaredService

UNREFUTABLE = {
    "product.maker": "names in an image are those of suppliers",
    "product.target": "what is aimed at",
    "use.buyer": "who buys is not in the image",
    "use.data": "an image does not tell what its users will store",
    "use.consequence": "a judgement",
    "use.general_purpose": "whether users may install software is a matter of the product, not of a package manager in it",
    "use.funding": "who asks for the label is not in the image",
    "credentials.factory_process": "what the factory does is not in the image; it makes DEC-004 tentative",
    "documents": "named documents are for people; an id that no criterion has is refused",
}
# Where the contradiction of each statement is tested.
TESTED = {
    "product.model": "DEC-014",
    "product.version": "DEC-013",
    "product.type": "DEC-012",
    "use.ip": "DEC-020",
    "support.until": "DEC-007",
    "support.url": "DEC-015",
    "support.since": "DEC-016",
    "support.years": "DEC-016",
    "disclosure.policy_url": "DEC-015",
    "disclosure.contact": "DEC-015",
    "updates.method": "DEC-006",
    "updates.signed": "DEC-005",
    "updates.encrypted_transport": "DEC-010",
    "credentials.first_password": "DEC-004",
    "data.encrypted_storage": "DEC-008",
    "data.factory_reset": "DEC-009",
    "data.logging": "DEC-011",
    "services": "DEC-002",
    "absent": "DEC-001",
    "not_applicable": "DEC-017",
}


def statements():
    for part in msgspec.structs.fields(Declaration):
        kind = getattr(declaration, part.name.capitalize(), None)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from (f"{part.name}.{each.name}" for each in msgspec.structs.fields(kind))
        else:
            yield part.name


def test_every_statement_has_a_contradiction_or_a_reason():
    assert set(statements()) == set(TESTED) | set(UNREFUTABLE)
    assert not set(TESTED) & set(UNREFUTABLE)
    assert {each.name for each in msgspec.structs.fields(DeclaredService)} == {"name", "reason", "port", "protocol"}


def test_every_contradiction_named_is_one_of_a_test():
    shown = set(test_analyse_declared.CONTRADICTIONS)
    shown |= {rule for rule, *_ in test_analyse_declared_information.CONTRADICTIONS}
    assert set(TESTED.values()) - shown == {"DEC-012", "DEC-017", "DEC-020"}  # in test_analyse_declared_scope.py
    assert test_analyse_declared_scope.BOTH.listeners
