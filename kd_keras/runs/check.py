"""Looks for what would stop a run later, once, before TensorFlow is imported."""

from __future__ import annotations

import json

from kd_keras.augment import transfer
from kd_keras.augment.settings import UnlabeledSettings
from kd_keras.augment.tagging import check_tagger
from kd_keras.augment.unlabeled import check_unlabeled, unlabeled_files
from kd_keras.common import files, packages
from kd_keras.common.errors import UserError
from kd_keras.common.folders import Folder, folder_at
from kd_keras.common.layout import RunLayout, signals_in
from kd_keras.common.places import check_output_dir
from kd_keras.runs.given import check_answered, check_given
from kd_keras.runs.job import Job, Run
from kd_keras.runs.rounds import check_rounds
from kd_keras.students.settings import student_name
from kd_keras.teachers import ensemble
from kd_keras.teachers.checkpoints import Checkpoint
from kd_keras.teachers.schedule import for_data
from kd_keras.teachers.settings import WORD
from kd_keras.text.tokenizers import always_kept
from kd_keras.text.truncation import HEAD, check_truncation

_UNMIXED = {"joint": "adds the loss of the labels to the loss of the logits, each with weight 1",
            "hard": "follows only the teacher's labels"}  # fmt: skip


def check(job: Job) -> Run:
    """Returns the run that the job may start. Writes nothing.

    Raises:
      UserError: unknown teacher, output folder of another task or run, missing vectors, …
    """
    if job.job.teacher_signals is not None:  # before they are read
        check_given(job)
    run = Run.of(job)
    _check_flags(job)
    _check_text(job)
    _check_models(job)
    check_folder(run.layout, job.task.name, job.key())
    check_same_text(run.layout, job.unlabeled)
    if job.given is not None:
        check_answered(job)
    elif not job.checkpoint.fine_tuned_for(job.task.name, job.data.fingerprint):
        job.checkpoint.check_length(job.teacher.teacher_max_length or job.task.max_length)
        settings = for_data(job.teacher, job.checkpoint, job.data)
        job.checkpoint.check_start(settings, job.task.num_outputs, job.task.is_tagging)
    packages.say_left_out("plots", "plots", "matplotlib")
    return run


def _check_flags(job: Job) -> None:
    """Refuses flags that exclude each other, or that do not suit the task."""
    job.cluster.check()
    if job.cluster.wanted and job.job.parallel_students > 1:
        raise UserError(
            f"--parallel_students={job.job.parallel_students}: with --cluster={job.cluster.cluster} the cluster trains "
            "the students; use --parallel_students=1 (--cluster_workers says how many at a time), or no --cluster"
        )
    task, recipe, ablate = job.task, job.recipe, job.job.ablate
    if job.job.tensorboard:
        packages.require("--tensorboard", "plots", "tensorboard")
    job.label.check_machine()
    job.teacher.check_machine()
    if recipe.logit_head == "own" and ablate == "none" and recipe.recipe in ("soft", "hard"):
        raise UserError(
            f"--logit_head=own: the recipe {recipe.recipe} has one last layer for everything; use --recipe=joint, "
            "two_stage or staged"
        )
    student_name(job.student, task.is_pair, task.is_tagging)
    still = job.warm.student_from is not None and not job.warm.student_rate
    if still and (taught := [r for r in job.recipes if r.startswith(("two_stage", "staged"))]):
        raise UserError(
            f"--student_rate=0: the recipe {taught[0]} trains the encoder, but rate 0 freezes it; use soft or joint"
        )
    if task.is_tagging:
        _check_tagging(job)
    elif job.label.hidden == WORD:
        raise UserError(f"--hidden={WORD}: task {task.name} has no tags of words; use cls or mean")
    check_truncation("teacher_truncation", job.teacher.teacher_truncation, task.name, task.is_pair)
    check_truncation("student_truncation", job.student.student_truncation, task.name, task.is_pair)
    if task.is_regression and recipe.soft == "kl":
        raise UserError(f"--soft=kl: task {task.name} is a regression, which has no distribution; use --soft=mse")
    if task.is_regression and recipe.recipe == "hard":
        raise UserError(f"--recipe=hard: task {task.name} is a regression, so its teacher gives no labels; use soft")
    for name in job.recipes:
        if recipe.alpha and name in _UNMIXED:
            raise UserError(f"--alpha={recipe.alpha:g}: the recipe {name} {_UNMIXED[name]}; leave --alpha out")
    if ablate == "recipes" and recipe.recipe != "soft":
        raise UserError(f"--recipe={recipe.recipe}: --ablate=recipes tries every recipe; leave --recipe out")


def _check_tagging(job: Job) -> None:
    """Refuses what does not suit words with tags."""
    task = job.task.name
    if job.label.hidden not in ("none", WORD):
        raise UserError(f"--hidden={job.label.hidden}: the tagging {task} needs states of words; use --hidden={WORD}")
    if job.augment.augment != "none":
        raise UserError(f"--augment={job.augment.augment}: would change the words of the tagging {task}; leave it out")
    if job.job.ablate == "augmentation":
        raise UserError(f"--ablate=augmentation: would change the words of the tagging {task}; use --ablate=recipes")
    for flag, how in (("teacher", job.teacher.teacher_truncation), ("student", job.student.student_truncation)):
        if how != HEAD:
            raise UserError(
                f"--{flag}_truncation={how}: long sentences of the tagging {task} are read in windows and never cut; "
                "leave the flag out"
            )


def _check_text(job: Job) -> None:
    """Refuses transfer text that does not suit the other flags."""
    ablate, more = job.job.ablate, job.augment.augment != "none" or job.unlabeled.wanted or job.data.rest is not None
    if ablate == "augmentation":
        if job.augment.augment != "none":
            raise UserError(f"--augment={job.augment.augment}: --ablate={ablate} tries every value; leave it out")
        if job.unlabeled.wanted:
            raise UserError(
                "--unlabeled… with --ablate=augmentation: half of its students learn only from labels, which "
                "unlabeled text does not have; add --unlabeled=none, or use --ablate=transfer_sizes"
            )
        if job.data.rest is not None:
            raise UserError(
                "--labels_per_class with --ablate=augmentation: half of its students learn only from labels, which "
                "the other training rows do not have; leave one of the two out"
            )
    if job.recipe.alpha == 1 and (job.unlabeled.wanted or job.data.rest is not None):
        raise UserError(
            "--alpha=1: students learn from labels alone, and unlabeled text has none; use a smaller --alpha, or "
            "--unlabeled=none without --unlabeled_files and --labels_per_class"
        )
    if ablate == "transfer_sizes" and not more:
        raise UserError("--ablate=transfer_sizes: there is no transfer text; add --unlabeled=task, --augment=all, …")
    if any(job.job.sizes()) and not more:
        raise UserError(
            f"--transfer_sizes={job.job.transfer_sizes}: there is no transfer text to draw rows from; add "
            "--unlabeled=task, --augment=all, …"
        )
    if ablate == "augmentation" or job.augment.chance("pos"):
        check_tagger(job.augment.tagger)
    check_unlabeled(job.unlabeled_text)


def _check_models(job: Job) -> None:
    """Checks teacher, vocabulary, vectors and given signals."""
    job.student.width()  # reads --vectors
    if job.given is not None:
        if not job.lends:
            return
        packages.require(f"--tokenizer={job.student.tokenizer} (the pieces of {job.checkpoint.name})", "teacher")
    checkpoint, task, data = job.checkpoint, job.task.name, job.data.fingerprint
    job.label.check_layer(checkpoint.layers)
    if job.student.tokenizer == "wordpiece" and checkpoint.text.is_wordpiece:
        always_kept(checkpoint.text.pieces, job.student.vocab_size, job.student.vocab_characters)
    if job.given is not None:
        return
    check_rounds(job)
    if checkpoint.fine_tuned_for(task, data):
        checkpoint.check_reading(job.teacher)
    teachers = ensemble.checkpoints(checkpoint, task, data, job.teacher.teacher_seeds)
    if job.job.signals is not None:
        _check_signals(job, folder_at(job.job.signals, "--signals"), teachers)


def _check_signals(job: Job, folder: Folder, teachers: list[Checkpoint]) -> None:
    """Refuses signals of another teacher or of other data before anything is trained."""
    from kd_keras.teachers.signals import SignalStore

    if not teachers[0].fine_tuned_for(job.task.name, job.data.fingerprint):
        raise UserError(
            f"--signals={folder}: needs the teacher that made them, as --teacher=RUN/teacher; "
            f"--teacher={teachers[0].name} is not fine-tuned for this task and data"
        )
    pairs = ((split, number) for split in ("train", "dev") for number in range(1, len(teachers) + 1))
    for split, number in pairs:
        store, rows = SignalStore(signals_in(folder, split, number)), job.splits()[split]
        manifest = store.here().verify()
        here = teachers[number - 1].manifest()["fingerprint"]
        if manifest["teacher"] != here:
            said = "; ".join(files.differences(manifest["teacher"], here))
            raise UserError(f"--signals={folder}: {split} has signals from another teacher ({said})")
        if manifest["data"] != rows.fingerprint():
            raise UserError(f"--signals={folder}: {split} has signals of other data than this run's")
        wanted = ensemble.label_settings(job.label, number).hidden
        vectors = (manifest.get("hidden") or {}).get("pooling", "none")
        if vectors != wanted:
            ways = [f"--hidden={vectors}"] if vectors != "none" and not job.needs_hidden else ["--recipe=soft"]
            raise UserError(
                f"--signals={folder}: {split} has the teacher's vectors {vectors!r}, but this run needs {wanted!r} "
                f"(recipe {job.recipe.recipe}); add {ways[0]}, or leave --signals out"
            )


def check_same_text(layout: RunLayout, settings: UnlabeledSettings) -> None:
    """Refuses other content of --unlabeled_files, before it takes the place of what the signals were made of."""
    if any(each.every_signals("unlabeled") for each in layout.with_rounds()):
        key = transfer.key_at(layout.augmented("unlabeled"))
        if key is not None and key["files"] != [files.sha256_file(p) for p in unlabeled_files(settings)]:
            raise UserError(
                f"--unlabeled_files={settings.unlabeled_files}: the text is another than the run in {layout.root} has "
                "read; choose another --output_dir"
            )


def _only_begun(layout: RunLayout) -> bool:
    """Whether a run ended before it had made anything, as over text of which no row could be used."""
    begun = {layout.run, layout.task, layout.labels, layout.flags, layout.timings}
    return all(p in begun or layout.piped in p.parents for p in layout.root.rglob("*") if p.is_file())


def check_folder(layout: RunLayout, name: str, key: dict, command: str = "train") -> None:
    """Refuses a folder unless a run of ``command`` with this task and these settings may write there."""
    check_output_dir(layout.root)
    if layout.task.is_file():
        other = files.read_json(layout.task).get("name")
        if other != name:
            raise UserError(f"--output_dir={layout.root}: holds a run of task {other!r}, not {name!r}; choose another")
    if not layout.run.is_file():
        if layout.root.is_dir() and any(layout.root.iterdir()):
            raise UserError(
                f"--output_dir={layout.root}: is not empty and holds no run of {command}; choose another folder"
            )
    elif not _only_begun(layout):
        # JSON turns tuples into lists, so the key is compared after the same change.
        files.refuse_other(layout.root, "run", files.read_json(layout.run), json.loads(json.dumps(key)))
