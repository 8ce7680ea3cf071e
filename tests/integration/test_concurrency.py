"""Two commands on one container at the same time: one of them wins, and nothing is damaged or lost.

First systematically: one command is stopped at a system call, the other runs as far as it gets meanwhile, then both go
on. With HYPOTHESIS_PROFILE=thorough at every call. Then at random, as fast as it goes.
"""

import json
import random
import select
import threading
import time

import pytest
from remains import leftovers
from scenes import THOROUGH, one_variant

STATUSES = {"creating", "created", "running", "stopped"}
MEANWHILE = 0.02  # time for a command that may have to wait for the other


class Pair:
    """Two commands on the container of a scene, of which the first is stopped in the middle."""

    def __init__(self, scene, bystander):
        self.scene = scene
        self.bystander = bystander

    def words(self, command):
        if command == "create":
            return self.scene.creation()
        return command.split() + ([self.scene.name] if not command.startswith("list") else [])

    def calls(self, command, step):
        """Returns the numbers of calls of a command at which it is stopped."""
        listed = self.scene.command(*self.words(command), how="list", where="calls")
        assert listed.status == 0, listed.err
        return range(0, len(listed.events), 1 if THOROUGH else step)

    def run(self, first, number, second, meanwhile=MEANWHILE):
        """Stops the first at a call and has the second begin; returns how both ended. The second has some seconds
        before the first goes on; less if it does not need them."""
        scene = self.scene
        scene.accidents.begin(scene.argv(*self.words(first)), how="stop", where="calls", number=number)
        outcome = scene.accidents.wait()
        self.bystander.begin(scene.argv(*self.words(second)))
        if outcome is None:
            select.select([self.bystander.process.stdout], [], [], meanwhile)
            scene.accidents.go_on()
            outcome = scene.accidents.wait()
        return outcome, self.bystander.wait()


@pytest.fixture
def pair(scene, bystander):
    return Pair(scene, bystander)


def shown(outcome):
    """Returns the status that `state` shows, or why it shows none. It may only fail for want of a container."""
    if outcome.status == 0:
        return json.loads(outcome.out)["status"]
    return "absent" if "container does not exist" in outcome.err else f"{outcome.status}: {outcome.err}"


# first, second: the status of the container before, and what may come of the two: the exit statuses of both, and the
# status afterwards
PAIRS = {
    ("create", "create"): ("absent", {(0, 1, "created"), (1, 0, "created")}),
    ("create", "delete --force"): ("absent", {(0, 0, "created"), (0, 0, "absent"), (1, 0, "absent")}),
    ("start", "start"): ("created", {(0, 1, "running"), (1, 0, "running")}),
    ("start", "delete"): ("created", {(0, 1, "running")}),
    ("start", "delete --force"): ("created", {(0, 0, "absent"), (1, 0, "absent")}),
    # the start may be through before the other has begun to look
    ("delete --force", "start"): ("created", {(0, 1, "absent"), (0, 0, "absent")}),
    ("delete", "delete"): ("stopped", {(0, 1, "absent"), (1, 0, "absent")}),
    ("delete --force", "delete --force"): ("running", {(0, 0, "absent")}),
    ("delete --force", "create"): ("running", {(0, 1, "absent"), (0, 0, "created")}),
    ("kill", "delete --force"): ("running", {(0, 0, "absent"), (1, 0, "absent")}),
}


@pytest.mark.parametrize(("first", "second"), PAIRS)
@one_variant("little")
def test_one_of_two_wins(scene, pair, first, second):
    before, allowed = PAIRS[first, second]
    if before != "absent":
        scene.bring_to(before)
    calls = pair.calls(first, 6 if first == "create" else 4)
    problems = scene.delete()
    seen = set()
    for number in calls:
        if before != "absent":
            scene.bring_to(before)
        outcomes = pair.run(first, number, second)
        after = shown(scene.command("state", scene.name))
        result = (outcomes[0].status, outcomes[1].status, after)
        seen.add(result)
        if result not in allowed:
            problems.append((number, result, outcomes[0].err, outcomes[1].err))
        for outcome in outcomes:
            problems += [(number, problem) for problem in outcome.problems() if outcome.status != 0]
        problems += [(number, problem) for problem in scene.delete()]
    assert not problems, "\n".join(map(str, problems))
    assert seen <= allowed


# a command that changes things, the status before, and what `state` may show while it is at it
CHANGES = {
    "create": ("absent", ["absent", "creating", "created"]),
    "start": ("created", ["created", "running"]),
    "kill": ("running", ["running", "stopped"]),
    "delete": ("stopped", ["stopped", "absent"]),
    "delete --force": ("running", ["running", "stopped", "absent"]),
}


@pytest.mark.parametrize("command", CHANGES)
@one_variant("little")
def test_state_at_every_moment(scene, pair, command):
    """While another command changes the container, `state` sees it as it was or as it will be, in that order."""
    before, expected = CHANGES[command]
    if before != "absent":
        scene.bring_to(before)
    calls = pair.calls(command, 4)
    problems = scene.delete()
    seen = []
    for number in calls:
        if before != "absent":
            scene.bring_to(before)
        _, outcome = pair.run(command, number, "state", meanwhile=10)
        seen.append(shown(outcome))
        problems += scene.delete()
    assert not problems, "\n".join(map(str, problems))
    assert [status for status in expected if status in seen] == list(dict.fromkeys(seen)), seen
    assert set(seen[:1] + seen[-1:]) <= set(expected)


@pytest.mark.parametrize("command", CHANGES)
@one_variant("little")
def test_state_is_slower(scene, pair, command):
    """`state` stands still in the middle while all of the other command happens."""
    before, expected = CHANGES[command]
    problems = []
    if before != "absent":
        scene.bring_to(before)
    else:
        scene.create()
    calls = pair.calls("state", 1)
    problems += scene.delete()
    for number in calls:
        if before != "absent":
            scene.bring_to(before)
        outcome, changed = pair.run("state", number, command, meanwhile=10)
        if shown(outcome) not in expected or changed.status != 0:
            problems.append((number, shown(outcome), changed.status, changed.err))
        problems += scene.delete()
    assert not problems, "\n".join(map(str, problems))


@pytest.mark.parametrize("command", ["delete --force", "delete"])
@one_variant("little")
def test_a_list_outlives_its_containers(scene, pair, command):
    """What goes away while it is being listed is in the list, or it is not."""
    scene.bring_to("stopped")
    calls = pair.calls("list -f json", 1)
    problems = scene.delete()
    for number in calls:
        scene.bring_to("stopped")
        outcome, deleted = pair.run("list -f json", number, command, meanwhile=10)
        found = json.loads(outcome.out) if outcome.status == 0 else outcome.err
        if outcome.err or deleted.status or (found and [entry["id"] for entry in found] != [scene.name]):
            problems.append((number, found, outcome.err, deleted.err))
        problems += scene.delete()
    assert not problems, "\n".join(map(str, problems))


@one_variant("little")
def test_state_sees_the_end_of_a_create(scene, accidents, bystander):
    """It has read "creating", and then the create ends: nobody holds the lock any more, but it has not stopped."""
    words = scene.creation()
    listed = scene.command(*words, how="list", where="calls")
    last = max(number for number, event in enumerate(listed.events) if event == "posix.rename")
    calls = scene.command("state", scene.name, how="list", where="calls").events
    problems = scene.delete()
    for number in range(len(calls) + 4):
        accidents.begin(scene.argv(*words), how="stop", where="calls", number=last)
        assert accidents.wait() is None
        bystander.begin(scene.argv("state", scene.name), how="stop", where="calls", number=number)
        outcome = bystander.wait()
        accidents.go_on()
        assert accidents.wait().status == 0
        if outcome is None:
            bystander.go_on()
            outcome = bystander.wait()
        if shown(outcome) not in ("creating", "created"):
            problems.append((number, shown(outcome)))
        problems += scene.delete()
    assert not problems, "\n".join(map(str, problems))


@one_variant("little")
def test_two_look_at_a_create(scene, pair, accidents, bystander):
    """Looking whether the lock is held must not look like holding it: a create that was killed has stopped."""
    words = scene.creation()
    last = max(number for number, event in enumerate(scene.events("calls")) if event == "posix.rename")
    assert scene.command(*words, how="kill", where="calls", number=last).status == -9
    calls = scene.command("state", scene.name, how="list", where="calls").events
    problems = []
    for number in range(len(calls)):
        first, second = pair.run("state", number, "state", meanwhile=10)
        if (shown(first), shown(second)) != ("stopped", "stopped"):
            problems.append((number, shown(first), shown(second)))
    problems += scene.delete()
    assert not problems, "\n".join(map(str, problems))


ROUNDS = 60 if THOROUGH else 10
CROWD = ["create", "create", "start", "start", "kill", "delete", "delete --force"]


def test_a_crowd(bundle, runtime):
    """Whatever comes at the same time: each command says yes, or no in one line; `state` never fails but for want of a
    container; and in the end everything can be deleted."""
    bundle.process["args"] = ["sleep", "1000"]
    bundle.write()
    dice = random.Random(0)
    name = runtime.new_id()
    stop, seen = threading.Event(), set()

    def watch():
        while not stop.is_set():
            result = runtime("state", name, check=False)
            if result.code == 0:
                seen.add(json.loads(result.out)["status"])
            else:
                seen.add("absent" if result.err.endswith('msg="container does not exist"\n') else result.err)

    def command(word):
        time.sleep(delay := dice.random() * 0.06)
        words = ["create", "--bundle", bundle.path, name] if word == "create" else [*word.split(), name]
        result = runtime(*words, check=False)
        if result.code not in (0, 1) or len(result.err.splitlines()) != result.code:
            problems.append((word, delay, result.code, result.err))

    watcher = threading.Thread(target=watch)
    watcher.start()
    problems = []
    try:
        for _ in range(ROUNDS):
            crowd = [threading.Thread(target=command, args=(word,)) for word in CROWD]
            for thread in crowd:
                thread.start()
            for thread in crowd:
                thread.join()
            problems += [
                (path, "is left") for path in leftovers([name]) if runtime("state", name, check=False).code != 0
            ]
        runtime("delete", "--force", name)
    finally:
        stop.set()
        watcher.join()
    assert not problems, "\n".join(map(str, problems))
    assert {"absent", "created"} <= seen <= STATUSES | {"absent"}
