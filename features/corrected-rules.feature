Feature: Corrected rules

  The rules of features/published-rules.feature, corrected, against the same system and the same faults: silent on a healthy system,
  loud on a failing one, and quiet again afterwards.

  The times are arithmetic. After 30 healthy minutes half failing requests pass 14.4 % of the hour so far after x / 2 / (30 + x) =
  0.144, that is 12.1 minutes on average; at 0.2 requests a second chance adds minutes. A probe that fails passes 7.2 % of the hour
  after x / (30 + x) = 0.072, that is 2.3 minutes. Both alerts hold for 2 more, and end with their 5-minute window.

  Scenario: a healthy system is silent
    Given the game day "corrected-rules"
    And the stack is quiet for 6 hours
    Then no alert should have fired
    And receiver "incident-log" should have got 0 messages

  Scenario: half of the requests fail at low traffic, and the owner is paged
    Given the game day "corrected-rules"
    And the stack is quiet for 30 minutes
    When fault "half-fails" is injected
    Then alert "FastBurnRate" should be firing within 25 minutes with
      | severity | critical |
      | service  | frontend |
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And the runbook of "FastBurnRate" should exist with every required section
    When fault "half-fails" is cleared
    Then alert "FastBurnRate" should resolve within 8 minutes
    And receiver "incident-log" should be told that it is resolved
    And no other alert should have fired

  Scenario: the service is down, and the probes tell
    Given the game day "corrected-rules"
    And the stack is quiet for 30 minutes
    When service "frontend" crashes
    Then alert "ProbeFastBurn" should be firing within 6 minutes with
      | severity | critical |
      | instance | frontend |
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "ProbeSlowBurn" should be firing within 18 minutes with
      | instance | frontend |
    When service "frontend" is restarted
    Then alert "ProbeFastBurn" should resolve within 6 minutes
    And alert "ProbeSlowBurn" should resolve within 31 minutes
    And no other alert should have fired
