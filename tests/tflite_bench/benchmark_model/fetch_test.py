"""Fetching, from a server on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import json
import pathlib
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.tflite_bench.benchmark_model.elf_files import elf
from tflite_bench.__main__ import main
from tflite_bench.benchmark_model import fetch
from tflite_bench.errors import DownloadError, OptionsError

Captured = pytest.CaptureFixture[str]
CONTENT = elf("arm64-v8a", bytes(5000))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclasses.dataclass
class Server:
    """What it answers with, and where it is."""

    url: str = ""
    content: bytes = CONTENT
    missing_bytes: int = 0
    code: int = 200
    location: str = ""
    asked: list[str] = dataclasses.field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append(self.path)
            self.send_response(state.code)
            if state.location:
                self.send_header("Location", state.location)
            self.send_header("Content-Length", str(len(state.content) + state.missing_bytes))
            self.end_headers()
            self.wfile.write(state.content)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        state.url = f"http://127.0.0.1:{listening.server_port}/"
        yield state
        listening.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def files(tmp_path: pathlib.Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


def test_what_was_fetched_is_recorded_and_found_again(tmp_path: pathlib.Path, server: Server) -> None:
    url = fetch.official_url("arm64-v8a", base=server.url)
    found = fetch.fetch("arm64-v8a", url=url)
    assert server.asked == ["/android_aarch64_benchmark_model"]
    assert found.path.read_bytes() == CONTENT
    assert found.path.stat().st_mode & 0o111
    assert (found.sha256, found.url) == (SHA256, url)
    assert fetch.cached("arm64-v8a") == found
    assert fetch.cached("arm64-v8a", "litert") is None
    assert files(tmp_path) == [found.path.name, "fetched.json"]
    record = json.loads(found.path.with_name("fetched.json").read_text())
    assert record == {"file": found.path.name, "sha256": SHA256, "url": url, "date": found.date}


def test_a_newer_one_takes_the_place_of_the_older(tmp_path: pathlib.Path, server: Server) -> None:
    fetch.fetch("arm64-v8a", url=server.url)
    server.content = elf("arm64-v8a", b"newer")
    found = fetch.fetch("arm64-v8a", url=server.url)
    assert fetch.cached("arm64-v8a") == found
    assert files(tmp_path) == [found.path.name, "fetched.json"]


@pytest.mark.parametrize("change", ["content", "gone"])
def test_a_file_that_changed_afterwards_is_refused(server: Server, change: str) -> None:
    found = fetch.fetch("arm64-v8a", url=server.url)
    if change == "content":
        found.path.write_bytes(CONTENT[:-1] + b"!")
    else:
        found.path.unlink()
    with pytest.raises(DownloadError, match="Fetch it again: tflite-bench fetch --abi=arm64-v8a --flavour=tflite"):
        fetch.cached("arm64-v8a")
    fetch.fetch("arm64-v8a", url=server.url)
    assert fetch.cached("arm64-v8a") is not None


def test_a_record_that_points_elsewhere_is_not_followed(tmp_path: pathlib.Path, server: Server) -> None:
    found = fetch.fetch("arm64-v8a", url=server.url)
    outside = tmp_path / "outside"
    outside.write_bytes(CONTENT)
    record = found.path.with_name("fetched.json")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"file": str(outside)}))
    with pytest.raises(DownloadError, match="cannot be read"):
        fetch.cached("arm64-v8a")


def test_only_the_file_with_the_given_hash_is_taken(tmp_path: pathlib.Path, server: Server) -> None:
    assert fetch.fetch("arm64-v8a", url=server.url, sha256=SHA256.upper()).sha256 == SHA256
    server.content += b"?"
    with pytest.raises(DownloadError, match=f"expected SHA-256 {SHA256}, received "):
        fetch.fetch("arm64-v8a", url=server.url, sha256=SHA256)
    assert fetch.cached("arm64-v8a") is not None, "what was there before stays"
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": 404}, r"the server says 404 Not Found.*--from_file=PATH"),
        ({"code": 503}, "the server says 503"),
        ({"missing_bytes": 10}, "broke off: 5020 of 5030 bytes"),
        ({"content": b"<html>sign in</html>"}, "which is no program at all"),
        ({"content": b""}, "which is no program at all"),
        ({"content": elf("x86_64")}, r"for arm64-v8a\. Received: .*which is made for x86_64"),
    ],
)
def test_what_is_not_the_executable_is_refused(
    tmp_path: pathlib.Path, server: Server, changes: dict[str, object], message: str
) -> None:
    for name, value in changes.items():
        setattr(server, name, value)
    with pytest.raises(DownloadError, match=message):
        fetch.fetch("arm64-v8a", url=server.url)
    assert files(tmp_path) == []


def test_without_a_network_it_is_told_what_to_download_and_where_to_put_it(capsys: Captured) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/file"
    assert main(["fetch", "--abi=armeabi-v7a", "--flavour=tflite", f"--url={url}"]) == 1
    error = capsys.readouterr().err
    assert f"Cannot download {url}" in error and "Connection refused" in error
    assert "tflite-bench fetch --abi=armeabi-v7a --flavour=tflite --from_file=PATH" in error


@pytest.mark.parametrize("url", ["http://example.com/x", "file:///etc/passwd", "ftp://example.com/x", "nonsense", ""])
def test_only_a_safe_address_is_asked(url: str) -> None:
    with pytest.raises(OptionsError, match="begins with https://"):
        fetch.fetch("arm64-v8a", url=url or " ")


def test_nobody_is_sent_on_to_an_unsafe_address(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_LOOPBACK", ("127.0.0.1",))
    port = server.url.split(":")[2].strip("/")
    server.code, server.location = 302, f"http://localhost:{port}/other"
    with pytest.raises((OptionsError, DownloadError)):
        fetch.fetch("arm64-v8a", url=server.url)
    assert fetch.cached("arm64-v8a") is None


@pytest.mark.parametrize("flavour", fetch.FLAVOURS)
@pytest.mark.parametrize("target", fetch.TARGETS)
def test_each_official_address_is_of_its_publisher(target: str, flavour: str) -> None:
    if (target, flavour) == ("armeabi-v7a", "litert"):
        with pytest.raises(OptionsError, match="publishes a benchmark_model for"):
            fetch.official_url(target, flavour)
        return
    url = fetch.official_url(target, flavour)
    assert url.startswith("https://storage.googleapis.com/") and url.endswith("benchmark_model")


def test_the_command_fetches_once(server: Server, capsys: Captured) -> None:
    assert main(["fetch", "--json", f"--url={server.url}"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["sha256"], first["target"]) == (SHA256, "arm64-v8a")
    assert main(["fetch"]) == 0
    captured = capsys.readouterr()
    assert first["path"] in captured.out and SHA256 in captured.out
    assert "--again" in captured.err
    assert len(server.asked) == 1


def test_a_downloaded_file_is_taken_over(tmp_path: pathlib.Path, capsys: Captured) -> None:
    source = tmp_path / "a b'$(x)\u00e9"
    source.write_bytes(CONTENT)
    assert main(["fetch", f"--from_file={source}", f"--sha256={SHA256}"]) == 0
    capsys.readouterr()
    found = fetch.cached("arm64-v8a")
    assert found is not None and found.path.read_bytes() == CONTENT and found.url.startswith("file:///")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["x"], 2, "Expected no paths"),
        (["--abi=mips"], 2, "arm64-v8a|armeabi-v7a"),
        (["--from_file=a", "--url=https://b"], 2, "Received both"),
        (["--sha256=12", "--url=https://b"], 2, "64 hexadecimal digits"),
        (["--url=http://b"], 2, "begins with https://"),
        (["--from_file=missing"], 1, "Cannot read missing: No such file"),
    ],
)
def test_a_mistake_is_told_in_two_lines(arguments: list[str], code: int, text: str, capsys: Captured) -> None:
    assert main(["fetch", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and text in captured.err and captured.err.count("\n") <= 2
