"""`meltpoint run` and `resume`."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from search_spaces import Metric, SweepSpec, parse_spec
from service.clusters import Prestarted
from service.commands.listing import open_ledger
from service.errors import UsageError
from service.formats import Format, counted
from service.ledgers import Sweep, SweepState, Trial, TrialCounts
from service.reports import Leaderboard
from service.runs.runner import Outcome, resume_sweep, run_sweep
from service.settings import Home
from service.terminals import brief, own_stdout, print_data, print_table
from service.terminals.console_listener import ConsoleListener

TOP = 10

_MAY_CHANGE = ("budget", "resources", "register")
_CHANGEABLE = "budget (but epochs), resources and register"


def run(spec: SweepSpec, form: Format, home: Home, console: Console, prestarted: Prestarted | None) -> int:
    """Run the sweep, with what was started prestarted if anything was; returns the exit code."""
    with own_stdout():
        outcome = run_sweep(spec, home=home, listener=ConsoleListener(console), prestarted=prestarted)
    return _show(outcome, form, console)


def resume(
    reference: str, assign: Sequence[str], form: Format, home: Home, console: Console, prestarted: Prestarted | None
) -> int:
    """Go on with a sweep that came to no end, or that is given more budget; returns the exit code.

    Raises:
        SweepNotFoundError: no sweep goes by `reference`.
        UsageError: it is under way, was cancelled, or has nothing left to do; or `assign` makes another sweep of it.
    """
    sweep, spec = _to_go_on(reference, assign, home)
    with own_stdout():
        outcome = resume_sweep(sweep, spec, home=home, listener=ConsoleListener(console), prestarted=prestarted)
    return _show(outcome, form, console)


def _to_go_on(reference: str, assign: Sequence[str], home: Home) -> tuple[Sweep, SweepSpec]:
    with open_ledger(home) as ledger:
        sweep = ledger.sweeps.find(reference)
        trials = ledger.sweeps.trial_counts([sweep.id]).get(sweep.id, TrialCounts()).total
    began = parse_spec(sweep.spec_text, file=sweep.spec_file)
    spec = parse_spec(sweep.spec_text, file=sweep.spec_file, assign=assign)
    changed = [name for name in _keys(began, spec) if began.document.get(name) != spec.document.get(name)]
    if began.budget.epochs != spec.budget.epochs:
        changed.append("budget.epochs")
    if changed:
        raise UsageError(
            f"{', '.join(changed)} cannot change while {sweep.id} goes on: its trials began with what it was; "
            f"only {_CHANGEABLE} can"
        )
    if sweep.state is SweepState.CANCELLED:
        raise UsageError(f"{sweep.id} is cancelled, and stays so; start it anew with: meltpoint run {sweep.spec_file}")
    may_fail_more = began.budget.max_failed != spec.budget.max_failed
    if sweep.state.is_finished and trials >= spec.budget.trials and not may_fail_more:
        raise UsageError(
            f"{sweep.id} is {sweep.state} and had all of its {counted(trials, 'trial')}; to go on give it more: "
            f"meltpoint resume {sweep.id} --set budget.trials={2 * trials}"
        )
    if sweep.state.is_under_way:
        raise UsageError(f"{sweep.id} is {sweep.state}: there is nothing to resume")
    return sweep, spec


def _keys(began: SweepSpec, spec: SweepSpec) -> list[str]:
    """Of either file, those whose values must stay."""
    return [key for key in dict.fromkeys([*began.document, *spec.document]) if key not in _MAY_CHANGE]


def _show(outcome: Outcome, form: Format, console: Console) -> int:
    if form is Format.TABLE:
        print_table(outcome.board.header(), outcome.board.cells(TOP))
    else:
        print_data(outcome.as_json(), form)
    for line in epilogue(outcome):
        console.print(line, markup=False, soft_wrap=True)
    return 0 if outcome.sweep.state in (SweepState.COMPLETED, SweepState.STOPPED) else 1


def epilogue(outcome: Outcome) -> list[str]:
    """What a user wants to know at the end: how it ended, the best recipe, where to look, what to type next."""
    sweep, board = outcome.sweep, outcome.board
    counts = ", ".join(f"{count} {state}" for state, count in board.counts().items() if count) or "no trials"
    reason = f": {sweep.error}" if sweep.error else ""
    lines = [f"{len(board.trials) - TOP} more: meltpoint trials {sweep.id}"] if len(board.trials) > TOP else []
    lines += ["", f"sweep {sweep.id} {sweep.state} in {sweep.seconds or 0:.0f} s ({counts}){reason}"]
    if board.best is not None:
        lines += _best(board, board.best)
    if failures := board.failures():
        lines += [counted(board.counts()["failed"], "trial") + " failed:", *(f"  {line}" for line in failures)]
    return [*lines, *_whereabouts(outcome)]


def _best(board: Leaderboard, best: Trial) -> list[str]:
    metrics = board.metrics(best)
    test = metrics.get(Metric(board.sweep.metric).on("test"))
    on_test = "" if test is None else f", {test:.4f} on the test images"
    lines = [f"best trial {best.id}: {board.sweep.metric} {best.best_value:.4f} in epoch {best.best_epoch}{on_test}"]
    return lines + [f"  {name}: {value}" for name, value in best.recipe.items()]


def _whereabouts(outcome: Outcome) -> list[str]:
    sweep, lines = outcome.sweep, []
    if sweep.registered:
        lines.append(f"registered {sweep.registered['uri']} (version {sweep.registered['version']}, unconfirmed)")
    if outcome.unsent:
        why = f": {brief(outcome.tracking_error)}" if outcome.tracking_error else ""
        left = "" if sweep.registered or outcome.board.best is None else ", the model among them"
        lines.append(f"MLflow has not taken {counted(outcome.unsent, 'message')} yet{left}{why}")
        lines.append("they are kept: `meltpoint sync` sends them, and so does the next `meltpoint run` with this home")
    if sweep.mlflow:
        lines.append(f"MLflow: {sweep.mlflow['tracking_uri']}, experiment {sweep.mlflow['experiment_id']}")
    if sweep.state.rests:
        return [*lines, f"next: meltpoint resume {sweep.id}"]
    return [*lines, f"next: meltpoint {'ui' if sweep.mlflow else 'status'} {sweep.id}"]
