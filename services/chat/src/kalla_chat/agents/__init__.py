"""Who answers: the guided agent, or a model with the guided agent behind it."""
