"""Distillation: objectives, the Distiller, stages, the whole job and its report."""
