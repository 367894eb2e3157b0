"""Metrics of drift: how far a camera is from its reference."""

from __future__ import annotations

from agent.core.metrics.definition import Alerting, Export, Merge, Metric, Sent, ValidFor

DRIFT = (
    Metric(
        "drift.ratio",
        Alerting("drift score", "drift", "times"),
        Export(
            "camera_drift_ratio",
            "Drift score over its limit: above 1 the camera has drifted.",
            valid=ValidFor.WINDOW,
        ),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "drift.joint_ratio",
        Alerting("drift of joint", "drift", "times"),
        Export(
            "camera_drift_joint_ratio",
            "The same for all features together: many small shifts at once.",
            valid=ValidFor.WINDOW,
        ),
    ),
    Metric(
        "drift.classes_ratio",
        Alerting("drift of classes", "drift", "times"),
        Export("camera_drift_classes_ratio", "The same for the mix of classes.", valid=ValidFor.WINDOW),
    ),
    Metric(
        "drift.{feature}_ratio",
        Alerting("", "drift", "times"),
        Export("camera_feature_drift_ratio", "The same for one feature.", valid=ValidFor.WINDOW),
        labels={"feature": r"(?!(?:joint|classes|outlier)_ratio)\w+"},
        sent=Sent.NEAR_LIMIT,
    ),
    Metric(
        "drift.outlier_ratio",
        Alerting("share of frames unlike the reference", "drift"),
        Export(
            "camera_outlier_ratio",
            "Share of the window's frames that are unlike the reference.",
            valid=ValidFor.WINDOW,
        ),
    ),
    Metric(
        "drift.creep_sigmas",
        Alerting("slow change in sigma", "drift", unit="count"),
        Export(
            "camera_drift_creep_sigmas",
            "Largest shift of a feature since the reference was recorded that was too slow for an alarm, "
            "in sigma.",
            valid=ValidFor.WINDOW,
        ),
    ),
    Metric(
        "camera.accuracy_estimate_ratio",
        Alerting("estimated accuracy", "drift"),
        Export(
            "camera_accuracy_estimate_ratio",
            "Accuracy of the model, estimated without labels: F1 relative to its own detections on "
            "undisturbed frames, not a mAP. Absent if the trust is below 0.1.",
            valid=ValidFor.WINDOW,
        ),
    ),
    Metric(
        "camera.accuracy_estimate_low_ratio",
        Alerting("lowest estimated accuracy", "drift"),
        Export(
            "camera_accuracy_estimate_low_ratio",
            "Lower end of the estimate's band, which contains the true value in 9 of 10 cases.",
            valid=ValidFor.WINDOW,
        ),
    ),
    Metric(
        "camera.accuracy_estimate_high_ratio",
        Alerting("highest estimated accuracy", "drift"),
        Export(
            "camera_accuracy_estimate_high_ratio",
            "Upper end of the estimate's band.",
            valid=ValidFor.WINDOW,
        ),
    ),
    Metric(
        "camera.accuracy_estimate_trust",
        Alerting("trust in the estimated accuracy", "drift", "ratio"),
        Export(
            "camera_accuracy_estimate_trust",
            "Trust in the estimate, 0..1: lower if the band is wide or boxes are few.",
            valid=ValidFor.WINDOW,
        ),
    ),
    Metric(
        "camera.drift_recorded_ratio",
        export=Export(
            "camera_reference_recorded_ratio",
            "Progress of the recording of a reference, while there is one.",
            valid=ValidFor.WINDOW,
        ),
        merge=Merge.LARGEST,
    ),
)
