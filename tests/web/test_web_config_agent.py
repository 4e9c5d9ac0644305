"""The agent behind a web configuration, as its users start it: curl and Prometheus ask."""

import os
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from requirements_here import require
from support import certificates
from support.agent import PROJECT, Agent
from support.namespace import Namespace
from support.prometheus import Prometheus
from support.waiting import DEADLINE, wait_until

USERS = f"basic_auth_users: {{alice: {certificates.WONDERLAND}}}\n"
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


def curl(agent: Agent, folder: Path, *arguments: str, scheme: str = "https") -> tuple[int, str]:
    """The status that curl gets, 0 for none, and what else it has to say."""
    path = shutil.which("curl")
    require(path, "curl: apt-get install curl")
    url = f"{scheme}://localhost:{agent.port}/health"
    command = [str(path), "-sS", "--cacert", f"{folder}/ca.pem", "-w", "\n%{http_code}"]
    done = subprocess.run([*command, *arguments, url], capture_output=True, text=True, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body + done.stderr


def test_an_agent_with_everything_on(folder: Path) -> None:
    """TLS and password are needed, a rotation takes effect, a broken file stops all but itself."""
    web = folder / "web.yml"
    web.write_text(f"{TLS}{USERS}rate_limit: {{interval: 1ms, burst: 100}}\n")
    with Agent(f"--web.config.file={web}") as agent:
        for line in (
            'level=info msg="Rate limiter is enabled" burst=100 interval=0.001s',
            f'msg="TLS is enabled" http2=false address=127.0.0.1:{agent.port}',
        ):
            wait_until(lambda line=line: line in "".join(agent.log), message=line)
        assert curl(agent, folder)[0] == 401
        assert curl(agent, folder, "-u", "alice:oz")[0] == 401
        assert curl(agent, folder, "-u", "alice:wonderland") == (200, '{"status":"ok"}\n')
        status, body = curl(agent, folder, scheme="http")
        assert (status, body) == (400, "Client sent an HTTP request to an HTTPS server.\n")

        authority = certificates.write_all(folder)
        assert curl(agent, folder, "-u", "alice:wonderland")[0] == 200  # by the new authority
        os.truncate(web, 0)
        assert curl(agent, folder, "-u", "alice:wonderland")[0] == 500
        web.write_text(TLS)
        assert curl(agent, folder)[0] == 200
        assert agent.stop() == 0
        assert authority
    text = "".join(agent.log)
    assert f"error={web}: is empty now" in text.replace('"', "")
    assert "Traceback" not in text


def test_without_tls_the_log_says_so(folder: Path) -> None:
    """Nobody has to guess: it is one of the two, for each address."""
    (folder / "web.yml").write_text(USERS)
    with Agent(f"--web.config.file={folder}/web.yml") as agent:
        wait_until(lambda: any("TLS is disabled" in line for line in agent.log))
        assert curl(agent, folder, scheme="http")[0] == 401
        assert curl(agent, folder, "-u", "alice:wonderland", scheme="http")[0] == 200


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("basic_auth_users:\n  alice: x\n", ":2: basic_auth_users.alice: hashedSecret too short"),
        (
            "tls_server_config:\n  cert_file: server.pem\n",
            ":1: tls_server_config: missing one of",
        ),
        (TLS.replace("server.key", "x"), ":1: tls_server_config.key_file: failed to read key_file"),
        ("a: 1\n", ":1: a: unknown key: expected one of tls_server_config, http_server_config"),
    ],
)
def test_a_bad_file_stops_the_start(text: str, error: str, folder: Path) -> None:
    """The exit code is 1, and one line names flag, file, line and key."""
    web = folder / "web.yml"
    web.write_text(text)
    command = [sys.executable, "-m", "exporter", f"--web.config.file={web}"]
    done = subprocess.run(
        [*command, "--web.listen-address=127.0.0.1:0"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"ip-interface-exporter: error: --web.config.file: {web}{error}")


def test_it_stops_while_a_password_is_compared(folder: Path) -> None:
    """A comparison that goes on for many minutes does not keep the service from stopping."""
    (folder / "web.yml").write_text(USERS.replace("$10$", "$24$"))
    with Agent(f"--web.config.file={folder}/web.yml") as agent:
        command = ["curl", "-s", "-u", "alice:oz", f"http://localhost:{agent.port}/"]
        require(shutil.which("curl"), "curl: apt-get install curl")
        threads = Path(f"/proc/{agent.process.pid}/task")
        idle = len(list(threads.iterdir()))
        with subprocess.Popen(command, stdout=subprocess.DEVNULL):
            wait_until(lambda: len(list(threads.iterdir())) > idle, message="its thread")
            assert agent.stop(signal.SIGTERM) == 0


@pytest.mark.parametrize("package", ["prometheus-2", "prometheus-3"])
def test_a_real_prometheus_scrapes_with_certificate_and_password(
    namespace: Namespace, package: str, folder: Path
) -> None:
    """The server is let in over TLS with both, and learns what is missing without either."""
    namespace.ip("link set lo up")
    (folder / "web.yml").write_text(
        "tls_server_config:\n"
        "  cert_file: server.pem\n"
        "  key_file: server.key\n"
        "  client_auth_type: RequireAndVerifyClientCert\n"
        "  client_ca_file: ca.pem\n"
        f"  client_allowed_sans: [scraper.example]\n{USERS}"
    )
    anonymous = {"ca_file": "ca.pem"}
    known = anonymous | {"cert_file": "client.pem", "key_file": "client.key"}
    right, wrong = ({"username": "alice", "password": p} for p in ("wonderland", "oz"))
    options: dict[str, dict[str, object]] = {
        "let-in": {"scheme": "https", "tls_config": known, "basic_auth": right},
        "no-password": {"scheme": "https", "tls_config": known},
        "wrong-password": {"scheme": "https", "tls_config": known, "basic_auth": wrong},
        "no-certificate": {"scheme": "https", "tls_config": anonymous, "basic_auth": right},
        "no-tls": {"basic_auth": right},
    }
    failures = {
        "let-in": "",
        "no-password": "401",
        "wrong-password": "401",
        "no-certificate": "certificate required",
        "no-tls": "400",
    }
    with Agent(f"--web.config.file={folder}/web.yml", namespace=namespace) as agent:
        targets = [{"targets": [f"127.0.0.1:{agent.port}"]}]
        scrapes = [{"job_name": j, "static_configs": targets, **o} for j, o in options.items()]
        settings = {"scrape_configs": scrapes}
        with Prometheus(package, folder, namespace, {}, settings=settings) as prometheus:
            for job, failure in failures.items():
                wait_until(partial(failed, prometheus, job, failure), message=f"{job}: {failure}")
            shown = 'ip_interfaces_connected{family="ipv4"}'
            wait_until(lambda: prometheus.value(shown) == 1, message=shown)


def failed(prometheus: Prometheus, job: str, failure: str) -> bool:
    """Whether the last scrape of a job failed with this; empty: whether it did not fail."""
    active = (prometheus.query("targets") or {}).get("activeTargets", [])
    (target,) = [t for t in active if t["labels"]["job"] == job] or [None]
    if target is None:
        return False
    return failure in target["lastError"] and (target["health"] == "up") is (failure == "")
