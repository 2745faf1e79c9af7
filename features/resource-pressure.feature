Feature: Resource pressure

  When a machine runs out of processor, memory or disk, a warning (80 %, disk 75 %) must come first and a page (90 %) when it goes
  on, in that order; and when it clears, a message must say how long it lasted.

  The times are arithmetic. The processor alerts look at a mean over 5 minutes: from b = 4 % to p = 99 % it passes 80 % after
  5 * (80 - b) / (p - b) = 4.0 minutes and 90 % after 4.53 minutes; with `for` (5 and 10 minutes) the warning fires after 9.0 and the
  page after 14.5 minutes. Gone, the mean is below 90 % after 0.47 and below 80 % after 1.0 minutes. Memory and disk are seen by the
  next scrape, so their warnings fire after 5 and their pages after 10 minutes, and both are over within half a minute. Scrape and
  evaluation add up to half a minute to each.

  Background:
    Given the game day "resource-pressure"
    And the stack is quiet for 10 minutes

  Scenario: the processor is taken
    When fault "busy-cpu" is injected
    Then alert "HighCPUWarning" should be firing within 10 minutes with
      | severity | warning  |
      | instance | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "HighCPUCritical" should be firing within 16 minutes with
      | severity | critical |
      | instance | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "HighCPUWarning" should have fired before alert "HighCPUCritical"
    And the runbook of "HighCPUCritical" should exist with every required section
    When the page is acknowledged
    And fault "busy-cpu" is cleared
    Then alert "HighCPUCritical" should resolve within 1 minute
    And alert "HighCPUWarning" should resolve within 2 minutes
    And receiver "slack" should be told that it is resolved, with its duration
    And receiver "incident-log" should be told that it is resolved
    And the query '100 - (avg by (instance) (rate(node_cpu_seconds_total{mode="idle"}[5m])) * 100)' should fall below 20 within 5 minutes
    And no other alert should have fired

  Scenario: the memory is taken
    When fault "full-memory" is injected
    Then alert "HighMemoryWarning" should be firing within 6 minutes with
      | severity | warning  |
      | instance | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "HighMemoryCritical" should be firing within 11 minutes with
      | severity | critical |
      | instance | checkout |
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "HighMemoryWarning" should have fired before alert "HighMemoryCritical"
    And the runbook of "HighMemoryCritical" should exist with every required section
    When fault "full-memory" is cleared
    Then alert "HighMemoryCritical" should resolve within 1 minute
    And alert "HighMemoryWarning" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration
    And receiver "incident-log" should be told that it is resolved
    And the query '100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)' should fall below 50 within 1 minute
    And no other alert should have fired

  Scenario: the disk fills up
    When fault "full-disk" is injected
    Then alert "HighDiskWarning" should be firing within 6 minutes with
      | severity | warning  |
      | instance | checkout |
    And receiver "slack" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "HighDiskCritical" should be firing within 11 minutes with
      | severity | critical |
      | instance | checkout |
    And receiver "incident-log" should be notified of it once within 1 minute, with its value, dashboard and runbook
    And alert "HighDiskWarning" should have fired before alert "HighDiskCritical"
    And the runbook of "HighDiskCritical" should exist with every required section
    When fault "full-disk" is cleared
    Then alert "HighDiskCritical" should resolve within 1 minute
    And alert "HighDiskWarning" should resolve within 1 minute
    And receiver "slack" should be told that it is resolved, with its duration
    And receiver "incident-log" should be told that it is resolved
    And the query '100 * (1 - node_filesystem_avail_bytes{mountpoint="/var/lib/checkout"} / node_filesystem_size_bytes{mountpoint="/var/lib/checkout"})' should fall below 50 within 1 minute
    And no other alert should have fired
