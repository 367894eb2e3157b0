from agent.core.class_names import counterparts, renamed


def test_the_same_name_comes_first_and_then_the_only_one_that_is_written_otherwise():
    assert counterparts(["car", "Car"], ["Car", "car"]) == {0: 1, 1: 0}
    assert counterparts([" TRUCK", "cafe\u0301"], ["caf\u00e9", "truck"]) == {0: 1, 1: 0}


def test_of_two_that_could_be_meant_none_is():
    assert counterparts(["CAR"], ["Car", "car"]) == {}
    assert counterparts(["CAR", "Car"], ["car"]) == {}
    assert renamed(["CAR", "Van"], ["van", "car", "Car"]) == ("CAR", "van")
