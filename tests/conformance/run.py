"""All cases of the Autobahn suite, run by kosoku, against the plain protocol: it echoes, which is what the suite expects.

Groups of cases run side by side, each in a room of its own, or one would hear the other's messages. The verdicts are
printed, and the whole report is kept in tests/artifacts/conformance.
"""

import asyncio
import collections
import os
import sys
from pathlib import Path

import kosoku
from kosoku import _caseindex
from kosoku._report import write_reports

HOST = os.environ["LINNET_PUBLIC"]
REPORT = Path(__file__).parent.parent / "artifacts" / "conformance"
CASES = 517
AT_ONCE = 2
# The long ones first, so that none is left alone at the end.
GROUPS = [f"{major}.{minor}.*" for major, last in [(12, 5), (13, 7), (9, 8)] for minor in range(1, last + 1)]
GROUPS += [f"{major}.*" for major in [1, 2, 3, 4, 5, 6, 7, 10]]


def take_messages_as_bytes(case):
    """Groups 12 and 13 hash each echo. Autobahn hands them bytes, kosoku a string where the echo came uncompressed, which
    RFC 7692 section 6 leaves to the sender: they would end in an ERROR of their own making."""
    hear = case.onMessage

    def hear_bytes(self, message, binary):
        if isinstance(message, str):
            message = message.encode("latin-1" if binary else "utf-8")
        return hear(self, message, binary)

    case.onMessage = hear_bytes


def build_index(*arguments, build=_caseindex.build_index):
    cases, groups = build(*arguments)
    for case_id, case in cases.items():
        if case_id.startswith(("12.", "13.")):
            take_messages_as_bytes(case)
    return cases, groups


_caseindex.build_index = build_index


async def run_group(group):
    url = f"ws://{HOST}/ws?protocol=plain&room=cases-{group.removesuffix('.*')}"
    try:
        return await kosoku.run_fuzzingclient(url, [group])
    except kosoku.FailureError as failure:
        return failure.results


async def run_all():
    places = asyncio.Semaphore(AT_ONCE)

    async def in_turn(group):
        async with places:
            results = await run_group(group)
            print(f"  {group:8} {len(results):3} cases", flush=True)
            return results

    groups = await asyncio.gather(*map(in_turn, GROUPS))
    return [result for group in groups for result in group]


def main():
    results = asyncio.run(run_all())
    results.sort(key=lambda result: [int(part) for part in result.case_id.split(".")])
    write_reports(results, str(REPORT))

    failed = [result for result in results if not result.passed]
    for result in failed:
        verdict = f"{result.behavior.value}, close {result.behavior_close.value}"
        print(f"case {result.case_id}: {verdict}: {result.result} {result.result_close}")
    for title, verdicts in [
        ("behaviour", [result.behavior.value for result in results]),
        ("close", [result.behavior_close.value for result in results]),
    ]:
        counts = collections.Counter(verdicts)
        print(f"{title}: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    if len(results) != CASES:
        print(f"{len(results)} cases ran, {CASES} were expected")
    missing = abs(CASES - len(results))
    print(f"conformance: {len(results) - len(failed)} passed, {len(failed) + missing} failed")
    sys.exit(bool(failed or missing))


main()
