"""Accidents at every moment: the runtime is killed, or init, or an op fails, and nothing may be left that nobody owns.

With HYPOTHESIS_PROFILE=thorough at every system call of the runtime; else at every op, and at every fourth call.
"""

import pytest
from scenes import VARIANTS, all_variants, one_variant, sampled


def report(problems):
    assert not problems, "\n".join(map(str, problems))


def part(scene):
    """Each variant takes another quarter of the calls, which are much the same in all of them."""
    return list(VARIANTS).index(scene.variant)


# ---- create


@all_variants
def test_create_is_killed_at_an_op(scene):
    """With SIGKILL, before each op of either lane and after each of its own. Init never outlives it, unless as a
    container that is complete; and `delete --force` finds everything."""
    problems = []
    for number, event in enumerate(scene.events("ops")):
        killed = scene.create(how="kill", where="ops", number=number)
        if killed.status != -9:
            problems.append((event, killed.status, killed.err))
        if scene.stored() != "created" and not scene.init_ends():
            problems.append((event, "init lives on"))
        if scene.take_pid_files() - {"pid"}:
            problems.append((event, "a file is left beside the pid file"))
        problems += [(event, problem) for problem in scene.delete()]
    report(problems)


@all_variants
def test_create_is_killed_at_a_system_call(scene):
    """The same between ops and within them. Only whoever is killed between making a pid file and renaming it leaves
    that file, which nobody else knows of."""
    problems = []
    for number, event in sampled(scene.events("calls"), part(scene)):
        killed = scene.create(how="kill", where="calls", number=number)
        if killed.status != -9:
            problems.append((number, event, killed.status, killed.err))
        if scene.stored() != "created" and not scene.init_ends():
            problems.append((number, event, "init lives on"))
        if scene.take_pid_files() - {"pid"} and event not in ("posix.write", "posix.close", "posix.rename"):
            problems.append((number, event, "a file is left beside the pid file"))
        problems += [(number, event, problem) for problem in scene.delete()]
    report(problems)


@all_variants
def test_init_is_killed(scene):
    """Before each op of either lane: the create fails in one line that says so, and undoes everything."""
    events = scene.events("ops")
    # once init is ready it may or may not hear that it is let go on, before it dies; then it has been created, and
    # stopped
    ready = events.index("before init ready") + 1
    lives = range(events.index("after host spawn") + 1, ready)
    problems = []
    for number, event in enumerate(events):
        if not event.startswith("before"):
            continue
        outcome = scene.create(how="kill init", where="ops", number=number)
        if number >= ready:
            problems += [(event, problem) for problem in outcome.problems() if outcome.status != 0]
        elif number in lives:
            problems += [(event, problem) for problem in outcome.problems() + scene.remains()]
            if "init is gone: it was killed" not in outcome.err:
                problems.append((event, outcome.err))
        elif outcome.status != 0:
            problems.append((event, outcome.err))
        problems += [(event, problem) for problem in scene.delete()]
    report(problems)


@all_variants
def test_an_op_of_the_host_fails(scene):
    """Each in turn: one line that says which, and nothing left."""
    problems = []
    for number, event in enumerate(scene.events("ops")):
        if not event.startswith("before host"):
            continue
        outcome = scene.create(how="fail", where="ops", number=number)
        problems += [(event, problem) for problem in outcome.problems() + scene.remains()]
        words = event.removeprefix("before host ").split(" ", 1)
        if not all(word in outcome.err for word in ("input/output error", *words)):
            problems.append((event, outcome.err))
    report(problems)


@all_variants
def test_a_system_call_fails(scene):
    """Each in turn, also those that nobody expects to fail: one line, and nothing left; or it did not matter."""
    problems = []
    # the last one gives up the lock of a container that is complete
    for number, event in sampled(scene.events("calls")[:-1], part(scene)):
        outcome = scene.create(how="fail", where="calls", number=number)
        if outcome.status == 0:
            problems += [(number, event, problem) for problem in scene.delete()]
        else:
            problems += [(number, event, problem, outcome.err) for problem in outcome.problems() + scene.remains()]
            scene.delete()
    report(problems)


@all_variants
def test_undoing_fails(scene):
    """The last op fails, and then a system call of the undoing: one line that has the first reason in it, and what is
    left can be deleted."""
    events = scene.events("ops")
    last = {
        "how": "fail",
        "where": "ops",
        "number": max(i for i, e in enumerate(events) if e.startswith("before host")),
    }
    listed = scene.create(**last, then=("list", "calls", -1))
    assert scene.remains() == []
    problems = []
    # the last two give up the lock, and write the line
    for number, event in sampled(listed.events[:-2], part(scene)):
        outcome = scene.create(**last, then=("fail", "calls", number))
        problems += [(number, event, problem) for problem in outcome.problems()]
        if "pass-barrier" not in outcome.err:
            problems.append((number, event, "hides the first error", outcome.err))
        problems += [(number, event, problem, outcome.err) for problem in scene.delete()]
    report(problems)


# ---- the other commands

COMMANDS = {
    "start": ("created", ("start",)),
    "kill": ("running", ("kill", "KILL")),
    "kill what was not started": ("created", ("kill", "KILL")),
    "delete": ("stopped", ("delete",)),
    "delete --force": ("running", ("delete", "--force")),
}


@pytest.mark.parametrize("how", ["kill", "fail"])
@pytest.mark.parametrize("command", COMMANDS)
@one_variant("little")
def test_a_command_is_interrupted(scene, command, how):
    """Killed at a system call, or that call fails: `state` knows how things are, the command can be given again, and
    `delete --force` finds everything."""
    status, (word, *rest) = COMMANDS[command]
    words = (word, scene.name, *rest)
    scene.bring_to(status)
    listed = scene.command(*words, how="list", where="calls")
    assert listed.status == 0, listed.err
    problems = scene.delete()
    for number, event in sampled(listed.events, ("kill", "fail").index(how)):
        scene.bring_to(status)
        outcome = scene.command(*words, how=how, where="calls", number=number)
        if how == "fail" and outcome.status != 0:
            problems += [(number, event, problem) for problem in outcome.problems()]
        elif outcome.status not in (0, -9):
            problems.append((number, event, outcome.status, outcome.err))
        seen = scene.command("state", scene.name)
        if seen.status != 0 and "container does not exist" not in seen.err:
            problems.append((number, event, "state", seen.status, seen.err))
        again = scene.command(*words)
        if again.status != 0:
            problems += [(number, event, "again", problem) for problem in again.problems()]
        problems += [(number, event, problem) for problem in scene.delete()]
    report(problems)


@pytest.mark.parametrize("how", ["kill", "fail"])
@one_variant("little")
def test_a_foreground_run_is_interrupted(scene, how):
    """From the end of its create to deleting the container, whose program has ended."""
    scene.bundle.process["args"] = ["true"]
    scene.bundle.write()
    begins = len(scene.events("calls"))
    listed = scene.command(*scene.creation("run"), how="list", where="calls")
    assert listed.status == 0, listed.err
    problems = []
    for number, event in sampled(listed.events, ("kill", "fail").index(how)):
        if number < begins:
            continue
        outcome = scene.command(*scene.creation("run"), how=how, where="calls", number=number)
        if how == "fail" and outcome.status != 0:
            problems += [(number, event, problem) for problem in outcome.problems()]
        elif outcome.status not in (0, -9):
            problems.append((number, event, outcome.status, outcome.err))
        problems += [(number, event, problem) for problem in scene.delete()]
    report(problems)
