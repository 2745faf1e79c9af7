Feature: Maintenance window

  What is worked on must not page anybody, and what is still broken when the work is over must. An alert that is held back is not
  forgotten: it is told at the first flush of its group after what held it back has ended.

  The times are arithmetic: ServiceDown holds for 2 minutes after the first failed scrape. Flushes come 30 seconds after it fires
  (group_wait) and every 5 minutes from there, so the page comes at most 5 minutes after the window or the silence. The virtual clock
  begins on a Sunday at 01:30 UTC. (Dates do not compress: on the real clock the window is where the calendar has it.)

  Scenario: planned work does not page, and what it left broken does
    Given the game day "maintenance-window"
    And the stack is quiet for 35 minutes
    When service "payments" crashes
    Then alert "ServiceDown" should be firing within 3 minutes with
      | severity | critical      |
      | instance | payments:8080 |
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And receiver "slack" should not be notified of it for 30 minutes
    And alert "ServiceDown" should be muted by "sunday-maintenance"
    # 02:07:45 and every 5 minutes: the first flush after the window is that of 03:02:45.
    And receiver "slack" should be notified of it once within 56 minutes, with its value, dashboard and runbook
    When service "payments" is restarted
    Then alert "ServiceDown" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved
    And no other alert should have fired

  Scenario: a silence holds back what it names, until it ends
    Given the game day "maintenance-window"
    And the stack is quiet for 5 minutes
    When alert "ServiceDown" is silenced for 1 hour with
      | instance | payments:8080 |
    And service "payments" crashes
    Then alert "ServiceDown" should be firing within 3 minutes
    And receiver "slack" should not be notified of it for 10 minutes
    And alert "ServiceDown" should be silenced
    And receiver "incident-log" should not be notified of alert "ServiceDown"
    When the silence ends
    Then receiver "slack" should be notified of it once within 16 minutes, with its value, dashboard and runbook
    When service "payments" is restarted
    Then alert "ServiceDown" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved
    And no other alert should have fired

  Scenario: a silence that names the service holds back whatever it says
    Given the game day "maintenance-window"
    And the stack is quiet for 5 minutes
    When every alert is silenced for 15 minutes with
      | instance | payments:8080 |
    And service "payments" crashes
    Then alert "ServiceDown" should be firing within 3 minutes
    And receiver "slack" should not be notified of alert "ServiceDown" for 10 minutes
    # Nobody ends it: the silence runs out after 15 minutes, and the next flush tells.
    And receiver "slack" should be notified of alert "ServiceDown" within 19 minutes
    And no other alert should have fired

  Scenario: two machines go down together, and one message says so
    Given the game day "maintenance-window"
    And the stack is quiet for 5 minutes
    When service "payments" crashes
    And service "users" crashes
    Then receiver "slack" should be told in one message within 4 minutes of
      | ServiceDown | instance | payments:8080 |
      | ServiceDown | instance | users:8080    |
    And receiver "slack" should have got 1 message
    And receiver "incident-log" should have got 1 message
    When service "payments" is restarted
    And service "users" is restarted
    Then alert "ServiceDown" should resolve within 1 minute
    And receiver "slack" should have got 1 message
    And no other alert should have fired
