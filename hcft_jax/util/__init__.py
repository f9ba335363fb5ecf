"""What every room needs: errors, files, names, box conventions, downloads, start-up."""
