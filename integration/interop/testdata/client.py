#!/usr/bin/env python3
"""One person with the unmodified syft-client, told what to do on standard input.

    client.py owner|scientist EMAIL TOKEN

Each line read is a JSON object: "do" names a method of Person, the other members are its arguments.
Each line written answers one: "value" is what the method gave, or "error" and "trace" what went wrong;
"said" is what the client printed meanwhile. What it logs goes to standard error.
"""

import contextlib
import html
import io
import json
import os
import re
import sys
import traceback


def private_streams():
    """Take standard input and output for the protocol alone: jobs inherit the one, the client prints on the other."""
    commands = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, answers


def as_text(page):
    """What a notebook shows of an HTML display, without its markup."""
    page = re.sub(r"(?s)<(style|script)\b.*?</\1>", "", page)
    return html.unescape(re.sub(r"<[^>]*>", " ", page))


class Person:
    def __init__(self, role, email, token):
        import syft_client

        self.enter = {"owner": syft_client.login_do, "scientist": syft_client.login_ds}[role]
        self.email, self.token = email, token
        self.client = None

    def login(self):
        self.client = self.enter(email=self.email, token_path=self.token)
        return str(self.client.syftbox_folder)

    def sync(self):
        self.client.sync()

    # Peers

    def add_peer(self, email):
        self.client.add_peer(email)

    def approve_peer(self, email):
        self.client.approve_peer_request(email)

    def peers(self):
        peers = self.client.peers
        return {
            "list": [{"email": p.email, "state": p.state.value} for p in peers],
            "shown": as_text(peers._repr_html_()),
        }

    # Datasets

    def create_dataset(self, name, mock, private, users, summary=None, readme=None):
        dataset = self.client.create_dataset(
            name=name, mock_path=mock, private_path=private, users=users,
            summary=summary, readme_path=readme,
        )
        return self.dataset(dataset)

    def datasets(self):
        manager = self.client.datasets
        return {
            "list": [self.dataset(d) for d in manager.get_all()],
            "shown": as_text(manager._repr_html_()),
        }

    def dataset(self, d):
        return {
            "name": d.name, "owner": d.owner, "summary": d.summary,
            "mock": {f.name: f.read_text() for f in d.mock_files},
            "readme": d.get_readme() or "",
            "shown": as_text(d._repr_html_()),
        }

    # Jobs

    def submit_python_job(self, user, code_path, job_name):
        self.client.submit_python_job(user, code_path, job_name=job_name)

    def submit_bash_job(self, user, script, job_name):
        self.client.submit_bash_job(user, script, job_name=job_name)

    def jobs(self):
        jobs = self.client.jobs  # syncs first
        return {"list": [self.job(j) for j in jobs], "shown": str(jobs), "page": as_text(jobs._repr_html_())}

    def job(self, j):
        return {
            "name": j.name, "status": j.status, "by": j.submitted_by, "owner": j.datasite_owner_email,
            "approval": j.approval_method or "", "reason": j.review_reason or "",
            "code": j.code, "stdout": str(j.stdout), "stderr": str(j.stderr),
            "outputs": {p.name: p.read_text() for p in j.output_paths if p.is_file()},
            "shown": str(j),
        }

    def approve(self, job):
        self.client.jobs[job].approve()
        self.client.sync()

    def reject(self, job, reason):
        self.client.jobs[job].reject(reason)
        self.client.sync()

    def run(self):
        self.client.process_approved_jobs()

    def share(self, job, users):
        j = self.client.jobs[job]
        j.share_outputs(users)
        j.share_logs(users)
        self.client.sync()


def main():
    commands, answers = private_streams()
    person = Person(*sys.argv[1:])
    for line in commands:
        command = json.loads(line)
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                answer = {"value": getattr(person, command.pop("do"))(**command)}
        except Exception as e:
            answer = {"error": f"{type(e).__name__}: {e}", "trace": traceback.format_exc()}
        answer["said"] = said.getvalue()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
