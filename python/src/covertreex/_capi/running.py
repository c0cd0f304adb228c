"""Long calls, and their callbacks."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # it makes no enumerations, so that all signals take microseconds
import itertools
import signal
import threading
import weakref
from collections.abc import Callable
from typing import Any

from .. import _arguments
from .library import Function, check
from .structs import DISTANCE, KERNEL, PROGRESS

#: Called with the share of a call that is done, 0 to 1.
ProgressReport = Callable[[float], object]


def answer(errors: list[BaseException], function: Callable[..., object], *arguments: Any) -> int:
    """Call a caller's function out of a callback of the library: 0, or 1 if it raised, which ends the library's call.

    ctypes loses an exception that leaves a callback. So the exception goes to the end of ``errors``.
    """
    try:
        function(*arguments)
    except BaseException as error:
        errors.append(error)
        return 1
    return 0


class Callee:
    """Something that the library calls back. The library has its number, and no reference to it.

    So the callbacks of ctypes are made once, for all calls. One that is made for a call refers to that call, and
    ``byref`` of the options refers to the callback. Before Python 3.12 the garbage collector does not see that
    reference: the frame of a call that fails would stay in memory for good with all arguments, by way of its own
    exception.
    """

    def __init__(self) -> None:
        self.number = next(_numbers)
        self.errors: list[BaseException] = []
        _callees[self.number] = self

    def __call__(self, *arguments: Any) -> int:
        """Answer the library: 0 to go on, 1 to end its call."""
        raise NotImplementedError

    def differentiate(self, *arguments: Any) -> int:
        """Answer the library's call for derivatives in the same way."""
        raise NotImplementedError


_callees: weakref.WeakValueDictionary[int, Callee] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


def _call_back(number: int, *arguments: Any) -> int:
    callee = _callees.get(number)
    return 1 if callee is None else callee(*arguments)


def _call_for_derivatives(number: int, *arguments: Any) -> int:
    callee = _callees.get(number)
    return 1 if callee is None else callee.differentiate(*arguments)


_REPORT, CALL_KERNEL, CALL_KERNEL_GRADIENT = PROGRESS(_call_back), KERNEL(_call_back), KERNEL(_call_for_derivatives)
CALL_DISTANCE = DISTANCE(_call_back)


class _Watch(Callee):
    """A caller's report of progress, as the library calls it. What the report returns means nothing."""

    def __init__(self, report: ProgressReport | None) -> None:
        super().__init__()
        self._report = report
        self.cancelled = False

    def __call__(self, share: float) -> int:
        if self.cancelled or self.errors:
            return 1
        return 0 if self._report is None else answer(self.errors, self._report, share)

    def cancel(self, error: BaseException) -> None:
        """End the call, which then raises this."""
        self.cancelled = True
        self.errors.insert(0, error)


def run(function: Function, *arguments: Any, options: Any, report: ProgressReport | None = None, **names: str) -> None:
    """Call a function that may take long, so that Ctrl-C ends it, and raise the error of its status.

    Signals reach Python in the main thread only, between two of its instructions. So the main thread waits while
    another thread calls the library, and ends the call when an interrupt comes.
    """
    if report is not None:
        _arguments.function(report, "progress")
    watch = _Watch(report)
    options.progress, options.progress_user_data = _REPORT, watch.number

    def work() -> None:
        if not watch.cancelled:
            answer(watch.errors, lambda: check(function(*arguments), **names))

    try:
        if threading.current_thread() is threading.main_thread():
            _run_in_thread(work, watch)
        else:
            work()
        if watch.errors:
            raise watch.errors[0]
    finally:
        watch.errors.clear()  # the exception refers to this frame, and must not be referred to from here


def _run_in_thread(work: Callable[[], None], watch: _Watch) -> None:
    """Do work in a thread of its own, and return when it has ended, however often this one is interrupted.

    This waits for events: ``Thread.join`` returns early after an interrupted wait (bpo-45274, up to Python 3.12), and
    arrays would be freed that the library works with.
    """
    begun, ended = threading.Event(), threading.Event()
    pending = [work]

    def run_work() -> None:
        begun.set()
        pending.pop()()  # once it has ended, this thread refers to nothing of the call
        ended.set()

    try:
        if _start(run_work):
            ended.wait()
        else:
            _run_here(work, watch)
        return
    except BaseException as error:  # of a signal's handler
        watch.cancel(error)
    while True:
        try:
            if begun.wait(1):  # or else it was never started; and if it is yet, it ends at once
                ended.wait()
            return
        except BaseException as error:  # another interrupt
            watch.cancel(error)


def _start(function: Callable[[], None]) -> bool:
    """Run a function in a thread of its own; False if there are no more threads to be had."""
    try:
        threading.Thread(target=function, name="covertree").start()
    except RuntimeError as error:
        # A handler of a signal may raise this, too.
        if not str(error).startswith(("can't start new thread", "can't create new thread")):
            raise
        return False
    return True


_SIGNALS = sorted(signal.valid_signals())


def _run_here(work: Callable[[], None], watch: _Watch) -> None:
    """Do work in the main thread. An exception of a signal's handler ends it.

    Python runs handlers inside callbacks, and ctypes would lose their exceptions there. So they are called by others
    that keep these.
    """

    def kept(handler: Callable[..., object]) -> Callable[..., None]:
        def handle(*arguments: Any) -> None:
            try:
                handler(*arguments)
            except BaseException as error:
                watch.cancel(error)

        return handle

    of_python = {number: handler for number in _SIGNALS if callable(handler := _signal.getsignal(number))}
    try:
        for number, handler in of_python.items():
            _signal.signal(number, kept(handler))
        work()
    finally:
        for number, handler in of_python.items():
            _signal.signal(number, handler)
