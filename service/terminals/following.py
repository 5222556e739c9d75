"""Follow a sweep that runs elsewhere, for `meltpoint watch` and `submit --follow`."""

from __future__ import annotations

from service.errors import UnavailableError
from service.formats import Format
from service.ledgers import Sweep, TrialPhase
from service.reports import Leaderboard
from service.runs import Outcome
from service.sweeps import SweepRequests
from service.terminals.follow_views import EXIT_NOT_DELIVERED, EXIT_NOT_FINISHED, FollowView, exit_code
from service.terminals.hints import home_option, print_next
from service.terminals.outcome_views import TOP, best_lines, ending, failure_lines, left_out
from service.terminals.outputs import print_data, print_table, stderr

__all__ = ["follow"]


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

    try:
        last = FollowView(requests, sweep, console, show_board=show_board).run()
    except KeyboardInterrupt:
        console.print(f"detached; {sweep.id} goes on", markup=False)
        print_next("watch", sweep.id)
        return EXIT_NOT_FINISHED
    except UnavailableError as error:
        again = f"meltpoint watch {sweep.id}{home_option()}"
        raise UnavailableError(f"{error}\nthe sweep may go on; to come back: {again}") from None
    return _conclude(requests, last, form)


def _conclude(requests: SweepRequests, sweep: Sweep, form: Format) -> int:
    """Print how the sweep ended; returns the exit code."""
    console, board = stderr(), requests.leaderboard(sweep.id)
    if form is not Format.TABLE:
        print_data(Outcome(sweep=sweep, board=board, unsent=0, tracking_error=None).as_json(), form)
    console.print(ending(sweep, board), markup=False, soft_wrap=True)
    if sweep.phase is TrialPhase.CONFIRM and form is Format.TABLE:
        confirmation = requests.confirmation(sweep.id)
        if confirmation is not None and confirmation.decision is not None:
            from service.terminals.confirmation_views import show_decision  # importing it loads NumPy

            show_decision(confirmation)
    code = exit_code(sweep)
    if code == 0 and not sweep.registered:
        console.print("MLflow has not taken the model yet; look again with: meltpoint status " + sweep.id, markup=False)
        code = EXIT_NOT_DELIVERED
    if sweep.mlflow:
        place = f"MLflow: {sweep.mlflow['tracking_uri']}, experiment {sweep.mlflow['experiment_id']}"
        console.print(place, markup=False, soft_wrap=True)
    print_next("resume" if sweep.state.rests else "trials", sweep.id)
    return code
