"""What every other folder uses: errors, flags, files, run folders, progress, seeds."""
