"""Pictures for people: overlay videos, plots and views of the layers."""
