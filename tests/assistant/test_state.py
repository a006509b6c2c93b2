import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from assistant import state
from assistant.errors import BusyError, FielError

SERVER = state.Server(address="http://127.0.0.1:1", pid=1, token="secret")

OWNER = """
import sys
from pathlib import Path
from assistant import state
folder = Path(sys.argv[1])
with state.owned(folder), state.announced(folder, state.Server("http://127.0.0.1:1", 1, "secret")):
    print("owned", flush=True)
    sys.stdin.read()
"""


def test_the_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with state.owned(tmp_path / "state"), pytest.raises(BusyError), state.owned(tmp_path / "state"):
        pass
    with state.owned(tmp_path / "state"):
        pass


def test_a_server_is_found_while_it_lives_and_only_by_its_user(tmp_path: Path) -> None:
    assert state.running_server(tmp_path) is None
    with state.announced(tmp_path, SERVER):
        assert state.running_server(tmp_path) == SERVER
        assert (tmp_path / "server.json").stat().st_mode & 0o077 == 0
    assert state.running_server(tmp_path) is None


def test_a_killed_owner_leaves_the_folder_free(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owned\n"
        assert state.running_server(tmp_path) == SERVER
        os.kill(owner.pid, signal.SIGKILL)
    assert (tmp_path / "server.json").exists()
    assert state.running_server(tmp_path) is None
    with state.owned(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FielError, match="cannot be written"), state.owned(tmp_path / "file" / "state"):
        pass
