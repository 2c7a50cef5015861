"""What runs behind the page: sessions, the one worker for the model, what is refused."""
