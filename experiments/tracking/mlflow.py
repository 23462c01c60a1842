"""track=mlflow: runs of an MLflow experiment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..choices import choice
from ..contracts import Place, Sent, TrackChoice

LONGEST = 500  # letters of a parameter
KEY = "prune_lab.key"


@choice("track", "mlflow", source="https://mlflow.org")
class Mlflow(TrackChoice):
    """A run of the MLflow experiment `experiment` for each run and page; a page and its claims are artefacts."""

    extra = "mlflow"
    uri: Place | None = None  # of the tracking server or store; null: $MLFLOW_TRACKING_URI, else mlflow.db in the store
    experiment: Place = "prune-lab"

    def send(self, sent: Sequence[Sent], group: str, results: Path) -> str:
        import os

        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag

        results.mkdir(parents=True, exist_ok=True)
        here = f"sqlite:///{(results / 'mlflow.db').resolve()}"
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or here
        client = MlflowClient(tracking_uri=uri)
        known = client.get_experiment_by_name(self.experiment)
        experiment = (
            known.experiment_id
            if known
            else client.create_experiment(
                self.experiment, (results / "mlflow").resolve().as_uri() if uri == here else None
            )
        )
        for one in sent:
            there = client.search_runs([experiment], f"tags.`{KEY}` = '{one.key}'")
            if there and one.page is None:
                continue  # a run's content never changes
            for old in there:
                client.delete_run(old.info.run_id)
            run = client.create_run(experiment, run_name=one.name, tags={KEY: one.key, "group": group})
            metrics = [Metric(name, value, 0, 0) for name, value in one.metrics.items()]
            for name, (steps, values) in one.curves.items():
                metrics += [Metric(name, float(value), 0, int(step)) for step, value in zip(steps, values, strict=True)]
            params = [Param(name, str(value)[:LONGEST]) for name, value in one.settings.items()]
            tags = [RunTag(f"claim {n}", f"{c['verdict']}: {c['claim']}") for n, c in enumerate(one.claims, 1)]
            for start in range(0, max(len(metrics), len(params), len(tags)), 100):  # at most 100 parameters a call
                part = slice(start, start + 100)
                client.log_batch(run.info.run_id, metrics[part], params[part], tags[part])
            if one.page is not None:
                client.log_artifacts(run.info.run_id, str(one.page), "page")
            client.set_terminated(run.info.run_id)
        return f"mlflow ui --backend-store-uri {uri}"
