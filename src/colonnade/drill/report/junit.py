"""The report as JUnit XML, which every CI shows: a test case for each rule and for each fault.

An invalid rule is a failure, an unknown one an error (CI counts both as red), a fault that was not possible is skipped.
Made with the standard library's tree, so that whatever an application said is escaped.
"""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree as ET

from colonnade.drill.checkers.finding import Finding, Verdict
from colonnade.drill.record import FaultEnd, Record
from colonnade.drill.report.facts import Facts, FaultRow
from colonnade.drill.report.words import figure, printable
from colonnade.drill.verdict import Judgement

_ELEMENTS = {Verdict.INVALID: "failure", Verdict.UNKNOWN: "error"}


def to_junit(record: Record, judgement: Judgement, facts: Facts) -> str:
    """The text of `junit.xml`."""
    name = f"colonnade drill {record.scenario.name}"
    root = ET.Element("testsuites", name=name)
    cases = [_rule(finding, name) for finding in judgement.findings]
    cases += [_fault(fault, name) for fault in facts.faults]
    cases += [_doubt(doubt, name) for doubt in judgement.doubts]
    inner = Counter(child.tag for case in cases for child in case)
    suite = ET.SubElement(
        root,
        "testsuite",
        name=name,
        tests=str(len(cases)),
        failures=str(inner["failure"]),
        errors=str(inner["error"]),
        skipped=str(inner["skipped"]),
        time=f"{facts.load.duration_s:.3f}",
    )
    properties = ET.SubElement(suite, "properties")
    for key, value in (
        ("verdict", judgement.verdict.value),
        ("sentence", judgement.sentence),
        ("seed", str(record.seed)),
        ("command", record.command),
    ):
        ET.SubElement(properties, "property", name=key, value=printable(value))
    suite.extend(cases)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _rule(finding: Finding, suite: str) -> ET.Element:
    case = ET.Element("testcase", classname=f"{suite}.rules", name=finding.rule.value)
    text = f"{finding.message}; at most {figure(finding.rule, finding.bound)} is allowed"
    element = _ELEMENTS.get(finding.verdict)
    if element is None:
        ET.SubElement(case, "system-out").text = printable(text)
    else:
        what = ET.SubElement(case, element, type=finding.reason, message=printable(text))
        what.text = printable("\n".join(finding.evidence))
    return case


def _fault(fault: FaultRow, suite: str) -> ET.Element:
    took = fault.recovery.whole_s if fault.recovery else None
    case = ET.Element("testcase", classname=f"{suite}.faults", name=fault.name, time=f"{took or 0:.3f}")
    if fault.end in (FaultEnd.SKIPPED, FaultEnd.NOT_REACHED):
        ET.SubElement(case, "skipped", message=printable(fault.message))
    elif fault.end == FaultEnd.FAILED:
        ET.SubElement(case, "error", type=fault.reason, message=printable(fault.message))
    else:
        ET.SubElement(case, "system-out").text = printable(fault.message)
    return case


def _doubt(doubt: str, suite: str) -> ET.Element:
    case = ET.Element("testcase", classname=f"{suite}.trust", name=printable(doubt))
    ET.SubElement(case, "error", type="doubtful", message=printable(doubt))
    return case
