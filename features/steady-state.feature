Feature: Steady state

  Twenty-four hours of ordinary traffic, ebbing to half of the rate and swelling to one and a half of it, must not raise a single
  alert: what pages on a quiet day is ignored on a bad one.

  The thresholds are far away: the traffic of an hour changes by less than a third and TrafficDropped wants three quarters; no
  request fails; of a hundred requests fewer than one may take longer than 500 ms and none does.

  Scenario: nobody is woken on an ordinary day
    Given the game day "steady-state"
    And the stack is quiet for 24 hours
    Then no alert should have fired
    And receiver "slack" should have got 0 messages
    And the burn rate of "availability" over 1d should stay below 1
    And the burn rate of "latency" over 1d should stay below 1
