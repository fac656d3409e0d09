"""CSV files: exact types over the whole file, the same rows however many threads read it.

dialect (header) -> blocks (whole rows) -> parse (text) -> columns (types) -> sink (IPC files)
                    one lane a thread   `------------ passes, repeated by whole ------------'
"""

from kalla_runner.connectors.csv.source import CsvConnector, CsvSource

__all__ = ["CsvConnector", "CsvSource"]
