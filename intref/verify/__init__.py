"""Verdicts on devices: each op by itself, and the whole model.

report = judge("gold/", dut="so:./dev.so")     -> Report: .verdict .cases .exit_code .text() .json() .junit()
"""

from intref.report.cases import Case, Report
from intref.report.reports import Reports, read_reports
from intref.verify.verdict import judge, node_ids

__all__ = ["Case", "Report", "Reports", "judge", "node_ids", "read_reports"]
