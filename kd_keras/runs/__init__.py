"""The main job of a run (teacher, signals, students, scores, report), and finished runs, opened again."""
