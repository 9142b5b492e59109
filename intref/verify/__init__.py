"""Verdicts on devices: judging, explanation, reports.

report = judge("gold/", dut="so:./dev.so")     -> Report: .verdict .cases .exit_code .text() .json() .junit()
"""

from intref.verify.explanation import explain
from intref.verify.report import Case, Report
from intref.verify.reports import Reports, read_reports
from intref.verify.verdict import judge, node_ids

__all__ = ["Case", "Report", "Reports", "explain", "judge", "node_ids", "read_reports"]
