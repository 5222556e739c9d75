"""Follow a sweep that runs elsewhere, for `meltpoint watch`, `submit --follow` and `confirm --follow`."""

from __future__ import annotations

from service.errors import UnavailableError
from service.formats import Format
from service.ledgers import Sweep, TrialPhase
from service.reports import Leaderboard
from service.runs import Outcome
from service.sweeps import SweepRequests
from service.terminals.follow_views import EXIT_NOT_FINISHED, FollowView, exit_code
from service.terminals.hints import print_next, repeat_options
from service.terminals.next_commands import next_command
from service.terminals.outcome_views import (
    EXIT_NOT_DELIVERED,
    TOP,
    best_lines,
    ending,
    failure_lines,
    left_out,
    not_registered_line,
    registered_line,
    waiting_lines,
)
from service.terminals.outputs import print_data, print_line, print_table, stderr

__all__ = ["follow", "follow_confirmation"]


def follow(requests: SweepRequests, sweep: Sweep, form: Format) -> int:
    """Show a sweep until it has ended and its model is registered; returns the exit code.

    Ctrl-C ends the view and leaves the sweep as it is. The leaderboard is printed as soon as training has ended.
    """
    console = stderr()

    def show_board(board: Leaderboard) -> None:
        if form is Format.TABLE:
            print_table(board.header(), board.cells(TOP))
        best = [] if board.best is None else best_lines(board, board.best)
        for line in [*left_out(board), "", *best, *failure_lines(board)]:
            console.print(line, markup=False, soft_wrap=True)

    shows_summary = form is not Format.TABLE
    view = FollowView(requests, sweep, console, show_board=show_board, shows_summary=shows_summary)
    last = _run(view, sweep)
    if last is None:
        return EXIT_NOT_FINISHED
    return _conclude(requests, last, form, has_shown_model=view.has_shown_model)


def follow_confirmation(requests: SweepRequests, sweep: Sweep, form: Format) -> int:
    """Show a sweep's confirmation until it has ended, and print its decision; returns the exit code.

    sweep: as it is since the confirmation was queued. Nothing of its search is shown. Ctrl-C ends the view alone.
    """
    from service.terminals.confirmation_views import show_confirmation  # importing it loads NumPy

    console = stderr()
    view = FollowView(
        requests,
        sweep,
        console,
        show_board=lambda _board: None,
        shows_summary=form is not Format.TABLE,
        since=sweep.queued_at or 0,
    )
    last = _run(view, sweep)
    if last is None:
        return EXIT_NOT_FINISHED
    return exit_code(last) or show_confirmation(last, form, console, requests.confirmation(sweep.id))


def _run(view: FollowView, sweep: Sweep) -> Sweep | None:
    """Run the view to its end and return the sweep's last row; None if Ctrl-C ended it."""
    try:
        return view.run()
    except KeyboardInterrupt:
        stderr().print(f"detached; {sweep.id} goes on", markup=False)
        print_next("watch", sweep.id)
        return None
    except UnavailableError as error:
        again = f"meltpoint watch {sweep.id}"
        raise UnavailableError(f"{error}\nthe sweep may go on; to come back: {again}") from None


def _conclude(requests: SweepRequests, sweep: Sweep, form: Format, *, has_shown_model: bool) -> int:
    """Print how the sweep ended, its decision, and where its model is; returns the exit code."""
    console, status = stderr(), requests.status(sweep.id)
    board = requests.leaderboard(sweep.id)
    outcome = Outcome(sweep=sweep, board=board, unsent=status.unsent, tracking_error=None, waiting=status.waiting)
    if form is not Format.TABLE:
        print_data(outcome.as_json(), form)
    console.print(ending(sweep, board), markup=False, soft_wrap=True)
    confirmation = requests.confirmation(sweep.id) if sweep.phase is TrialPhase.CONFIRM else None
    is_decided = confirmation is not None and confirmation.decision is not None
    if confirmation is not None and is_decided and form is Format.TABLE:
        from service.terminals.confirmation_views import show_decision  # importing it loads NumPy

        print_line("")
        show_decision(confirmation)
    code = exit_code(sweep)
    if sweep.registered and not has_shown_model:
        console.print(registered_line(sweep.registered, is_decided=is_decided), markup=False, soft_wrap=True)
    if code == 0 and outcome.lacks_model:
        again = repeat_options(f"look again with: meltpoint status {sweep.id}")
        for line in (not_registered_line(outcome), *waiting_lines(outcome.waiting), again):
            console.print(line, markup=False, soft_wrap=True)
        code = EXIT_NOT_DELIVERED
    if sweep.mlflow:
        place = f"MLflow: {sweep.mlflow['tracking_uri']}, experiment {sweep.mlflow['experiment_id']}"
        console.print(place, markup=False, soft_wrap=True)
    following = next_command(sweep, board, is_remote=requests.is_remote, is_decided=is_decided, otherwise="trials")
    print_next(following, sweep.id)
    return code
