"""The virtual driver for pairs: as `perf.routing.virtual`, with a policy and workers for each role.

Both workers are chosen when the request comes and have it in flight until the answer ended, as in
the gateway. Whether decode is asked at once (SGLang) or after prefill (vLLM) makes no difference
here: it waits for prefill's KV cache either way. Policies that read load reports get them as often
as the gateway asks for them (`+load-monitor-interval=SECONDS`).
"""

from __future__ import annotations

from dataclasses import dataclass

from perf.routing.contenders import LOAD_INTERVAL, LOAD_INTERVAL_SECONDS, Contender
from perf.routing.model import WorkerModel
from perf.routing.pairs.figures import PairFigures, Tally
from perf.routing.pairs.model import DecodeModel, Speech
from perf.routing.pairs.monitor import Monitor
from perf.routing.pairs.shapes import PairShape
from perf.routing.policies import Chooser, View
from perf.routing.records import Record
from perf.routing.sessions import Session, sessions
from perf.routing.users import Clock, Question, Users
from perf.routing.virtual import policy_of, tell
from smg.workers import LoadReports, Worker


@dataclass(eq=False)
class Leg:
    """One role's part of a request in flight."""

    policy: Chooser
    worker: Worker
    view: View

    def begin(self) -> None:
        self.worker.acquire()

    def answered(self) -> None:
        tell(self.policy, "first_byte", self.worker, self.view)

    def end(self) -> None:
        tell(self.policy, "ended", self.worker, self.view)
        self.worker.release()


class PairRun(Users):
    """One shape under two policies."""

    def __init__(
        self,
        shape: PairShape,
        sessions: list[Session],
        prefill: Chooser,
        decode: Chooser,
        clock: Clock,
        keys: bool = True,
    ) -> None:
        super().__init__(shape, sessions, clock, keys)
        self.prefill = prefill
        self.decode = decode
        self.prefills = tuple(Worker(f"http://10.1.0.{n + 1}") for n in range(shape.workers))
        self.decodes = tuple(Worker(f"http://10.2.0.{n + 1}") for n in range(shape.decodes))
        self.readers = {worker: WorkerModel(shape) for worker in self.prefills}
        self.speakers = {worker: DecodeModel(shape, clock) for worker in self.decodes}
        self.tallies = {worker: Tally() for worker in self.prefills}
        for policy, workers in ((prefill, self.prefills), (decode, self.decodes)):
            for worker in workers:
                tell(policy, "worker_added", worker)
        tell(prefill, "look_into", self.readers)

    def publish(self, reports: LoadReports, interval: float) -> None:
        """Load reports to `reports`, every `interval` seconds from now on."""
        Monitor(reports, self.clock, interval, self.readers, self.speakers).follow(self)

    def _send(self, question: Question) -> None:
        prefill = self._leg(self.prefill, self.prefills, question)
        decode = self._leg(self.decode, self.decodes, question)
        if prefill is None or decode is None:
            for leg in (prefill, decode):
                if leg is not None:
                    leg.answered()
                    leg.end()
            self._failed(question, "no pair")
            return
        now = self.clock.now
        record = question.record
        admission = self.readers[prefill.worker].admit(now, question.prompt, 1)
        self.tallies[prefill.worker].count(admission.prompt_tokens, admission.cached_tokens)
        record.prompt_tokens = admission.prompt_tokens
        record.worker = decode.worker.url

        def began() -> None:
            decode.answered()
            record.first = self.clock.now
            record.cached_tokens = speech.cached_tokens

        def ended() -> None:
            prefill.end()
            decode.end()
            self._answered(question)

        def read() -> None:
            prefill.answered()
            self.speakers[decode.worker].fetch(speech)

        speech = Speech(question.prompt, record.answer_tokens, began, ended)
        self.clock.at(admission.first, read)

    def _leg(self, policy: Chooser, workers: tuple[Worker, ...], question: Question) -> Leg | None:
        view = View.of(question.prompt, question.key, self.clock.now)
        worker = policy.select(workers, view)
        if worker is None:
            return None
        leg = Leg(policy, worker, view)
        leg.begin()
        return leg


def measured(
    shape: PairShape, contender: Contender, seed: int, *, keys: bool = True
) -> tuple[list[Record], PairFigures]:
    """One run and what it comes to. UnknownPolicy if one of the contender's policies is none that
    can be asked directly.
    """
    clock, reports = Clock(), LoadReports()
    prefill, decode = contender.legs
    run = PairRun(
        shape,
        sessions(shape, seed),
        policy_of(prefill, seed, clock, "prefill", reports),
        policy_of(decode, seed, clock, "decode", reports),
        clock,
        keys,
    )
    interval = dict(contender.flags).get(LOAD_INTERVAL, LOAD_INTERVAL_SECONDS)
    run.publish(reports, float(interval))
    records = run.run()
    return records, PairFigures.of_pairs(records, shape, list(run.tallies.values()))
