"""Schedules: one per stream and one that resumes, each with a payload from `events/`."""

import json

import pytest

SCHEDULED_TIME = "<aws.scheduler.scheduled-time>"

# Event -> (end of the name, rate, state, file in events/)
SCHEDULES = {
    "EventReport": ("event-report", {"Ref": "EventReportRate"}, {"Ref": "EventReportState"}, "collect-event-report"),
    "User": ("user", {"Ref": "UserRate"}, {"Ref": "UserState"}, "collect-user"),
    "DetailedSharedFolder": (
        "detailed-shared-folder",
        {"Ref": "DetailedSharedFolderRate"},
        {"Ref": "DetailedSharedFolderState"},
        "collect-detailed-shared-folder",
    ),
    "Resume": ("resume", "rate(5 minutes)", "ENABLED", "resume"),
}
# The longest name in EventBridge Scheduler, in characters. The template's Description states what remains for the
# stack.
NAME_MAX_CHARS = 64


def test_schedules_are_the_listed_ones(schedules, function):
    assert list(schedules) == list(SCHEDULES)
    assert "Events" not in function


@pytest.mark.parametrize("event", SCHEDULES)
def test_rate_state_and_name(schedules, event):
    end, rate, state, _ = SCHEDULES[event]
    schedule = schedules[event]
    assert schedule["Name"] == {"Fn::Sub": "${AWS::StackName}-" + end}
    assert (schedule["ScheduleExpression"], schedule["State"]) == (rate, state)


@pytest.mark.parametrize("event", SCHEDULES)
def test_payload_is_the_sample_at_the_scheduled_time(schedules, samples, event):
    sample = samples[SCHEDULES[event][3]]
    payload = json.loads(schedules[event]["Target"]["Input"])
    if sample["action"] == "collect":
        assert payload.pop("scheduled_time") == SCHEDULED_TIME
    assert payload == sample


@pytest.mark.parametrize("event", SCHEDULES)
def test_a_start_that_fails_is_retried_then_kept(schedules, event):
    assert schedules[event]["FlexibleTimeWindow"] == {"Mode": "OFF"}
    target = schedules[event]["Target"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 900}
    assert target["DeadLetterConfig"] == {"Arn": {"Fn::GetAtt": ["FailureQueue", "Arn"]}}


@pytest.mark.parametrize("event", SCHEDULES)
def test_it_starts_the_function_or_the_state_machine_for_each_account(schedules, event):
    accounts, function = {"Ref": "AccountsStateMachine"}, {"Fn::GetAtt": ["Function", "Arn"]}
    assert schedules[event]["Target"]["Arn"] == {"Fn::If": ["HasSeveralAccounts", accounts, function]}


def test_the_description_states_the_longest_stack_name(template):
    longest = max(len("-" + end) for end, *_ in SCHEDULES.values())
    assert f"Stack names may have up to {NAME_MAX_CHARS - longest} characters" in " ".join(template["Description"].split())
