"""Who the customers are: users, the tokens they show, and the points they earn."""
