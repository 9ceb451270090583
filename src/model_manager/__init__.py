"""Model Manager: decides which model is being served, and makes it so. Nothing but rooms may live at this level."""
