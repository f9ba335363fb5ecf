"""What people look at: overlay videos, plots and views of the layers."""
