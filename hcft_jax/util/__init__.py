"""The tools that every room needs: errors, files, names, text, box conventions, start-up."""
