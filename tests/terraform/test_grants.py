"""Each account may do what its program needs, nothing else, and no grant is broad, public or kept in the state."""

from __future__ import annotations

import copy
import os
import re

import pytest

from local.checkout import ROOT
from tests.support.grants import ROLES, grants, lacking, permissions, superfluous, table
from tests.support.terraform import Plan

pytestmark = [pytest.mark.terraform, pytest.mark.xdist_group("plans")]  # which are made once

README = ROOT / "terraform" / "README.md"


def test_each_account_has_what_its_program_needs(plan: Plan) -> None:
    assert lacking(plan) == []


def test_no_account_has_more(plan: Plan) -> None:
    assert superfluous(plan) == []


def test_each_single_grant_is_missed_when_it_is_taken_away(plans: dict[str, Plan]) -> None:
    plan, unnoticed = plans["small"], []
    removable = [each for each in plan.resources if "_iam_member" in each.kind and "secret_manager" not in each.kind]
    for each in removable:
        member = each.values["member"]
        if "demo-project.iam" not in member:
            continue  # of persons and of Google's own accounts
        without = copy.copy(plan)
        without = Plan([other for other in plan.resources if other is not each], plan.outputs)
        if not lacking(without):
            unnoticed.append(each.address)
    assert unnoticed == []


def test_roles_are_known_and_none_is_basic(plan: Plan) -> None:
    roles = {grant.role for grant in grants(plan)}
    assert roles & {"roles/owner", "roles/editor", "roles/viewer"} == set()
    assert [role for role in roles if re.search("[aA]dmin$", role)] == []
    assert all(permissions(plan, role) for role in roles)
    assert all(role.startswith("roles/") for role in ROLES)


def test_no_member_is_public_and_no_account_has_a_key(plan: Plan) -> None:
    assert [grant for grant in grants(plan) if "allUsers" in grant.member or "allAuthenticated" in grant.member] == []
    kinds = {each.kind for each in plan.resources}
    assert [kind for kind in kinds if kind.endswith(("_key", "_iam_policy", "_iam_binding"))] == []


def test_what_each_account_may_do_is_in_the_readme(plans: dict[str, Plan]) -> None:
    """TERRAFORM_README=write renews the table."""
    text = README.read_text("utf-8")
    begin, end = "<!-- grants -->\n", "<!-- /grants -->\n"
    before, _, rest = text.partition(begin)
    shown, _, after = rest.partition(end)
    wanted = "\n" + table(plans["small"]) + "\n"
    if os.environ.get("TERRAFORM_README") == "write":
        README.write_text(before + begin + wanted + end + after, "utf-8")
        shown = wanted
    assert shown == wanted
